{{/* Not empty when the objects of the Prometheus operator are wanted: asked for, or left to whether the cluster knows them. */}}
{{- define "gantry-operator.monitored" -}}
{{- $wanted := toString .Values.monitoring.enabled }}
{{- if or (eq $wanted "true") (and (eq $wanted "auto") (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) }}yes{{ end }}
{{- end }}

{{- define "gantry-operator.monitoringLabels" -}}
{{ include "gantry-operator.labels" . }}
{{- with .Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}
