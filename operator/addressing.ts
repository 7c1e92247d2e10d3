/** How the parts of a cluster find each other on Kubernetes: by the DNS names of pods and Services. */
import {
  groupName,
  membersServiceName,
  NAME_SERVER_PORT,
  nameServerName,
  PEER_PORT,
} from './names.ts'
import type { Addressing } from './ports.ts'

export function createKubeAddressing(): Addressing {
  return {
    nameServer: (cluster, namespace, ordinal) => {
      const service = nameServerName(cluster)
      return `${service}-${ordinal}.${service}.${namespace}.svc:${NAME_SERVER_PORT}`
    },
    member: (cluster, namespace, group, ordinal) => {
      const service = membersServiceName(cluster, group)
      return `${groupName(cluster, group)}-${ordinal}.${service}.${namespace}.svc:${PEER_PORT}`
    },
    // A broker resolves its group's leader Service itself.
    advertised: () => null,
  }
}
