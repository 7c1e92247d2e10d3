/** How the parts of a cluster find each other on Kubernetes: by the DNS names of pods and Services. */
import type { Addressing } from './ports.ts'

const NAME_SERVER_PORT = 9876

export function createKubeAddressing(): Addressing {
  return {
    nameServer: (cluster, namespace, ordinal) =>
      `${cluster}-namesrv-${ordinal}.${cluster}-namesrv.${namespace}.svc:${NAME_SERVER_PORT}`,
    // A broker resolves its group's leader Service itself.
    brokerHost: () => null,
  }
}
