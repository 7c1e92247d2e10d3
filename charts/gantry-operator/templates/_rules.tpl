{{/* What the operator does inside a namespace that it watches. Each verb is one it uses; server-side apply is create + patch. */}}
{{- define "gantry-operator.rules" -}}
- apiGroups: [rocketmq.gantry.dev]
  resources: [rocketmqclusters]
  verbs: [get, list, watch, patch]
- apiGroups: [rocketmq.gantry.dev]
  resources: [rocketmqclusters/status]
  verbs: [get, patch]
# Children name their cluster as owner with blockOwnerDeletion.
- apiGroups: [rocketmq.gantry.dev]
  resources: [rocketmqclusters/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: ['']
  resources: [services, configmaps, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: ['']
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, patch, delete]
- apiGroups: ['']
  resources: [pods]
  verbs: [get, list, watch]
# Pods leave through the Eviction API, so that PodDisruptionBudgets hold.
- apiGroups: ['']
  resources: [pods/eviction]
  verbs: [create]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# A broker patches the one EndpointSlice of its group; the operator can only grant what it has.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch, delete]
{{- if .Values.rbac.secrets }}
# The super users of clusters with access control: read by name, never listed; made once, never changed.
- apiGroups: ['']
  resources: [secrets]
  verbs: [get, create]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
