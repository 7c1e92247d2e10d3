{{- define "gantry-cluster.name" -}}
{{- default .Release.Name .Values.clusterName }}
{{- end }}

{{- define "gantry-cluster.labels" -}}
app.kubernetes.io/name: gantry-cluster
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "gantry-cluster.dashboardSelector" -}}
app.kubernetes.io/name: gantry-dashboard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gantry-cluster.dashboardLabels" -}}
{{ include "gantry-cluster.dashboardSelector" . }}
app.kubernetes.io/part-of: {{ include "gantry-cluster.name" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What the console and the test sign with: nothing without access control. */}}
{{- define "gantry-cluster.credentials" -}}
{{- if .Values.accessControl.enabled }}
{{- $secret := default (printf "%s-users" (include "gantry-cluster.name" .)) .Values.accessControl.secretName }}
env:
  - name: GANTRY_ACCESS_KEY
    valueFrom: {secretKeyRef: {name: {{ $secret }}, key: innerUsername}}
  - name: GANTRY_SECRET_KEY
    valueFrom: {secretKeyRef: {name: {{ $secret }}, key: innerPassword}}
{{- end }}
{{- end }}

{{/* The alarms file; the cluster has its name unless it is given another one. */}}
{{- define "gantry-cluster.alarms" -}}
{{- merge (deepCopy .Values.dashboard.alarms.config) (dict "cluster" (include "gantry-cluster.name" .)) | toYaml -}}
{{- end }}

{{/* The spec without what the values leave empty, so that the operator's defaults hold there. */}}
{{- define "gantry-cluster.spec" -}}
{{- $spec := dict "version" (default .Chart.AppVersion .Values.version) "paused" .Values.paused -}}
{{- $image := dict "pullPolicy" .Values.image.pullPolicy -}}
{{- range $key := list "repository" "digest" "pullSecrets" -}}
{{- with index $.Values.image $key }}{{ $_ := set $image $key . }}{{ end -}}
{{- end -}}
{{- $_ := set $spec "image" $image -}}
{{- if .Values.accessControl.enabled -}}
{{- $access := dict "enabled" true -}}
{{- with .Values.accessControl.secretName }}{{ $_ := set $access "secretName" . }}{{ end -}}
{{- $_ := set $spec "accessControl" $access -}}
{{- end -}}
{{- $nameServer := dict "replicas" .Values.nameServer.replicas "resources" .Values.nameServer.resources -}}
{{- with .Values.nameServer.storage }}{{ $_ := set $nameServer "storage" . }}{{ end -}}
{{- $_ := set $spec "nameServer" $nameServer -}}
{{- $storage := omit .Values.broker.storage "storageClassName" -}}
{{- with .Values.broker.storage.storageClassName }}{{ $_ := set $storage "storageClassName" . }}{{ end -}}
{{- $broker := omit .Values.broker "storage" "config" "rollout" "drain" "pvcRecovery" -}}
{{- $_ := set $broker "storage" $storage -}}
{{- range $key := list "config" "rollout" "drain" "pvcRecovery" -}}
{{- with index $.Values.broker $key }}{{ $_ := set $broker $key . }}{{ end -}}
{{- end -}}
{{- $_ := set $spec "broker" $broker -}}
{{- mergeOverwrite $spec (deepCopy .Values.extraSpec) | toYaml -}}
{{- end }}
