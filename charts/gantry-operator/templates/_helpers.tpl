{{- define "gantry-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "gantry-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "gantry-operator.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "gantry-operator.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "gantry-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "gantry-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "gantry-operator.labels" -}}
{{ include "gantry-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "gantry-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "gantry-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "gantry-operator.repository" -}}
{{- if .Values.global.imageRegistry }}{{ .Values.global.imageRegistry }}/{{ end }}{{ .Values.image.repository }}
{{- end }}

{{- define "gantry-operator.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" (include "gantry-operator.repository" .) .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" (include "gantry-operator.repository" .) (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}
