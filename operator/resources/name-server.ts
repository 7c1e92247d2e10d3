/** The objects of the name servers: one StatefulSet, its headless Service, configuration and budget. Pure. */
import { ADMIN_PORT, NAME_SERVER_PORT, nameServerName, selectorLabels } from '../names.ts'
import type { Addressing, KubeObject } from '../ports.ts'
import type { Cluster } from '../cluster-types.ts'
import {
  ADMIN_CONTAINER_PORT,
  claimTemplate,
  CONFIG_FOLDER,
  configMap,
  DATA_FOLDER,
  disruptionBudget,
  downwardEnvironment,
  imageOf,
  ownedObject,
  podTemplate,
} from './common.ts'
import type { Component, ConfigEntries, ResourceContext } from './common.ts'

const CONFIG_FILE = 'namesrv.conf'
const COMMAND = ['gantry', 'namesrv', '-c', `${CONFIG_FOLDER}/${CONFIG_FILE}`]

/** The addresses that brokers are told and that status shows. */
export function nameServerAddresses(cluster: Cluster, addressing: Addressing): readonly string[] {
  return Array.from({ length: cluster.spec.nameServer.replicas }, (_, ordinal) =>
    addressing.nameServer(cluster.name, cluster.namespace, ordinal),
  )
}

/** In the order in which they are applied; the StatefulSet last. `replicas` may differ from the spec while name servers leave. */
export function nameServerObjects(
  context: ResourceContext,
  replicas: number,
): readonly KubeObject[] {
  const component: Component = {
    name: nameServerName(context.cluster.name),
    role: 'namesrv',
    group: null,
  }
  return [
    configMap(context, component, {
      file: CONFIG_FILE,
      entries: nameServerConfig(),
      annotations: {},
    }),
    headlessService(context, component),
    disruptionBudget(context, component),
    statefulSet(context, component, replicas),
  ]
}

export function nameServerConfig(): ConfigEntries {
  return {
    listenPort: String(NAME_SERVER_PORT),
    metricsPromExporterPort: String(ADMIN_PORT),
    kvConfigPath: `${DATA_FOLDER}/namesrv/kvConfig.json`,
  }
}

function headlessService(context: ResourceContext, component: Component): KubeObject {
  return ownedObject(context, component, {
    apiVersion: 'v1',
    kind: 'Service',
    name: component.name,
    spec: {
      clusterIP: 'None',
      selector: selectorLabels(context.cluster.name, 'namesrv', null),
      ports: [
        { name: 'remoting', port: NAME_SERVER_PORT, targetPort: NAME_SERVER_PORT, protocol: 'TCP' },
      ],
    },
  })
}

function statefulSet(context: ResourceContext, component: Component, replicas: number): KubeObject {
  const { cluster } = context
  const { storage, resources, podTemplate: overlay } = cluster.spec.nameServer
  const template = podTemplate(context, component, {
    image: imageOf(context),
    command: COMMAND,
    checkCommand: [...COMMAND, '--check-config'],
    ports: [{ name: 'remoting', containerPort: NAME_SERVER_PORT }, ADMIN_CONTAINER_PORT],
    environment: downwardEnvironment(),
    resources,
    preStop: null,
    hasToken: false,
    serviceAccountName: null,
    claim: storage === null ? null : 'data',
    config: nameServerConfig(),
    overlay,
  })
  return ownedObject(context, component, {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    name: component.name,
    spec: {
      serviceName: component.name,
      replicas,
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      selector: { matchLabels: selectorLabels(cluster.name, 'namesrv', null) },
      template,
      ...(storage === null
        ? {}
        : { volumeClaimTemplates: [claimTemplate(context, component, storage)] }),
    },
  })
}
