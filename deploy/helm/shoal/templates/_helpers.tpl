{{- define "shoal.name" -}}
{{- if contains "shoal" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-shoal" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- /* The fleet's label in Prometheus: unique in the cluster. */}}
{{- define "shoal.fleet" -}}
{{ .Release.Namespace }}/{{ include "shoal.name" . }}
{{- end }}

{{- define "shoal.selector" -}}
app.kubernetes.io/name: shoal
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "shoal.labels" -}}
{{ include "shoal.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "shoal.image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}{{ end }}
{{- end }}

{{- define "shoal.secret" -}}
{{ .Values.secrets.existing | default (include "shoal.name" .) }}
{{- end }}

{{- define "shoal.natsUrl" -}}
{{- if .Values.nats.enabled }}nats://{{ include "shoal.name" . }}-nats:4222{{ else }}{{ required "nats.url: must be set when nats.enabled is false" .Values.nats.url }}{{ end }}
{{- end }}

{{- define "shoal.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "shoal.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- /* The folder or id of the model, as SHOAL_MODEL. */}}
{{- define "shoal.model" -}}
{{- if eq .Values.model.source "hub" }}{{ required "model.id: must be set when model.source is hub" .Values.model.id }}{{ else }}{{ .Values.model.dir }}{{ end }}
{{- end }}

{{- /* Variables of every member. The argument is a dictionary of the root and the role. */}}
{{- define "shoal.memberEnv" -}}
{{- $ := .root -}}
- { name: SHOAL_NATS, value: {{ include "shoal.natsUrl" $ | quote }} }
- { name: SHOAL_NATS_USER, value: {{ .role }} }
- { name: SHOAL_NATS_PASSWORD_FILE, value: /run/shoal/nats-password }
- { name: SHOAL_SECRET_FILE, value: /run/shoal/secret }
- { name: SHOAL_NAMESPACE, value: {{ $.Values.fleet.namespace | quote }} }
- { name: SHOAL_REPLICAS, value: {{ $.Values.fleet.replicas | quote }} }
{{- with $.Values.fleet.context }}
- { name: SHOAL_CONTEXT, value: {{ . | int | quote }} }
{{- end }}
{{- /* A variable would win over the file. */}}
{{- if not (hasKey $.Values.config "log-level") }}
- { name: SHOAL_LOG_LEVEL, value: {{ $.Values.fleet.logLevel | quote }} }
{{- end }}
{{- if $.Values.config }}
- { name: SHOAL_CONFIG, value: /etc/shoal/shoal.config.yaml }
{{- end }}
{{- with include "shoal.model" $ }}
- { name: SHOAL_MODEL, value: {{ . | quote }} }
{{- end }}
{{- with $.Values.tracing.endpoint }}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }} }
- { name: OTEL_EXPORTER_OTLP_PROTOCOL, value: {{ $.Values.tracing.protocol | quote }} }
- { name: OTEL_SERVICE_NAME, value: {{ $.Values.tracing.service | quote }} }
{{- if not (hasKey $.Values.config "otlp-sampling") }}
- { name: OTEL_TRACES_SAMPLER_ARG, value: {{ $.Values.tracing.sampling | quote }} }
{{- end }}
{{- if $.Values.tracing.metrics }}
- { name: SHOAL_OTLP_METRICS, value: "on" }
{{- end }}
{{- with $.Values.tracing.headersSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: { secretKeyRef: { name: {{ . | quote }}, key: headers } }
{{- end }}
{{- end }}
- { name: SHOAL_DTYPE, value: {{ $.Values.model.dtype | quote }} }
{{- if eq $.Values.model.source "hub" }}
- { name: HF_HOME, value: /models }
- { name: HF_HUB_OFFLINE, value: "1" }
{{- end }}
{{- end }}

{{- /* Variables that a person gives by name. */}}
{{- define "shoal.extraEnv" -}}
{{- range $name, $value := . }}
- { name: {{ $name | quote }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}

{{- define "shoal.memberMounts" -}}
- { name: secrets, mountPath: /run/shoal, readOnly: true }
- { name: tmp, mountPath: /tmp }
{{- if .Values.config }}
- { name: config, mountPath: /etc/shoal, readOnly: true }
{{- end }}
{{- if ne .Values.model.source "image" }}
- { name: models, mountPath: /models, readOnly: true }
{{- end }}
{{- end }}

{{- /* Not empty if the Secret has a key for metrics: a Secret of one's own needs it for a ServiceMonitor alone. */}}
{{- define "shoal.hasMetricsKey" -}}
{{- if or (not .Values.secrets.existing) .Values.metrics.serviceMonitor.enabled }}yes{{- end }}
{{- end }}

{{- /* The argument is a dictionary of the root and the role. */}}
{{- define "shoal.memberVolumes" -}}
{{- $ := .root -}}
- name: secrets
  secret:
    secretName: {{ include "shoal.secret" $ }}
    defaultMode: 0440
    items:
      - { key: secret, path: secret }
      - { key: nats-{{ .role }}-password, path: nats-password }
      {{- if and (eq .role "coordinator") (not $.Values.coordinator.insecure) }}
      - { key: api-keys, path: api-keys }
      {{- if include "shoal.hasMetricsKey" $ }}
      - { key: metrics-key, path: metrics-key }
      {{- end }}
      {{- end }}
- name: tmp
  emptyDir: {}
{{- if $.Values.config }}
- name: config
  configMap: { name: {{ include "shoal.name" $ }}-config }
{{- end }}
{{- if eq $.Values.model.source "pvc" }}
- name: models
  persistentVolumeClaim: { claimName: {{ required "model.claim: must be set when model.source is pvc" $.Values.model.claim | quote }}, readOnly: true }
{{- else if eq $.Values.model.source "hub" }}
- name: models
  emptyDir: { sizeLimit: {{ $.Values.model.size }} }
{{- end }}
{{- end }}

{{- /* Downloads the model before the member starts. */}}
{{- define "shoal.modelInit" -}}
{{- if eq .Values.model.source "hub" }}
initContainers:
  - name: model
    image: {{ include "shoal.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args: [model, pull, {{ include "shoal.model" . | quote }}, --dtype, {{ .Values.model.dtype | quote }}]
    env:
      - { name: HF_HOME, value: /models }
      {{- with .Values.model.tokenSecret }}
      - name: HF_TOKEN
        valueFrom: { secretKeyRef: { name: {{ . | quote }}, key: token } }
      {{- end }}
    securityContext:
      {{- include "shoal.containerSecurity" . | nindent 6 }}
    resources:
      requests: { cpu: 100m, memory: 256Mi }
      limits: { memory: 512Mi }
    volumeMounts:
      - { name: models, mountPath: /models }
      - { name: tmp, mountPath: /tmp }
{{- end }}
{{- end }}

{{- define "shoal.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "shoal.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "shoal.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
