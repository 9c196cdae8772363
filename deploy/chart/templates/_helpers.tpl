{{- define "sealwright.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of everything: kubeseal looks for a Service of this name. */}}
{{- define "sealwright.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "sealwright.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sealwright.namespace" -}}
{{- default .Release.Namespace .Values.namespace -}}
{{- end -}}

{{- define "sealwright.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sealwright.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "sealwright.selector" -}}
app.kubernetes.io/name: {{ include "sealwright.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sealwright.labels" -}}
{{ include "sealwright.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: {{ include "sealwright.name" . }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Metadata: (dict "root" $ "name" … "labels" … "annotations" … "namespace" …). */}}
{{- define "sealwright.metadata" -}}
metadata:
  name: {{ .name }}
  {{- if ne (toString .namespace) "-" }}
  namespace: {{ default (include "sealwright.namespace" .root) .namespace }}
  {{- end }}
  labels:
    {{- include "sealwright.labels" .root | nindent 4 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Is not empty if a switch of the controller is on in extraArgs: (dict "root" $ "flag" …). The spellings are Go's. */}}
{{- define "sealwright.isOn" -}}
{{- if has (get .root.Values.extraArgs .flag | toString) (list "1" "t" "T" "true" "True" "TRUE") }}true{{ end -}}
{{- end -}}

{{/* A security context: (dict "root" $ "context" …). OpenShift chooses users and groups itself, and refuses pods that do. */}}
{{- define "sealwright.securityContext" -}}
{{- $context := omit .context "enabled" -}}
{{- $adapt := dig "compatibility" "openshift" "adaptSecurityContext" "auto" (default dict .root.Values.global) -}}
{{- if or (eq $adapt "force") (and (eq $adapt "auto") (.root.Capabilities.APIVersions.Has "security.openshift.io/v1")) -}}
{{- $context = omit $context "fsGroup" "runAsUser" "runAsGroup" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{/* The rules of one who unseals. */}}
{{- define "sealwright.unsealerRules" -}}
- apiGroups: [bitnami.com]
  resources: [sealedsecrets]
  verbs: [get, list, watch]
- apiGroups: [bitnami.com]
  resources: [sealedsecrets/status]
  verbs: [update]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update{{ if include "sealwright.isOn" (dict "root" . "flag" "old-gc-behavior") }}, delete{{ end }}]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- with .Values.additionalNamespaces }}
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: {{ toJson . }}
  # That they exist is looked up at the start.
  verbs: [get]
{{- end }}
{{- end -}}

{{/* The rules of the side of External Secrets, for the cluster or for each namespace. */}}
{{- define "sealwright.externalSecretsRules" -}}
{{- $scoped := .Values.scopedRBAC }}
{{- $kinds := list "externalsecrets" }}
{{- if .Values.processSecretStore }}{{ $kinds = append $kinds "secretstores" }}{{ end }}
{{- if .Values.processPushSecret }}{{ $kinds = append $kinds "pushsecrets" }}{{ end }}
{{- $clusterStores := and .Values.processClusterStore (not $scoped) }}
{{- $clusterExternalSecrets := and .Values.processClusterExternalSecret (not $scoped) }}
{{- $clusterPushSecrets := and .Values.processClusterPushSecret (not $scoped) }}
{{- if $clusterStores }}{{ $kinds = append $kinds "clustersecretstores" }}{{ end }}
{{- if $clusterExternalSecrets }}{{ $kinds = append $kinds "clusterexternalsecrets" }}{{ end }}
{{- if $clusterPushSecrets }}{{ $kinds = append $kinds "clusterpushsecrets" }}{{ end }}
{{- $statuses := list }}
{{- range $kinds }}
{{- $statuses = append $statuses (printf "%s/status" .) }}
{{- end }}
{{- /* Of those that own what they make. */}}
{{- $finalizers := list "externalsecrets/finalizers" }}
{{- if $clusterExternalSecrets }}{{ $finalizers = append $finalizers "clusterexternalsecrets/finalizers" }}{{ end }}
{{- if $clusterPushSecrets }}{{ $finalizers = append $finalizers "clusterpushsecrets/finalizers" }}{{ end -}}
- apiGroups: [external-secrets.io]
  resources: {{ toJson $kinds }}
  verbs: [get, list, watch]
- apiGroups: [external-secrets.io]
  resources: {{ without $kinds "clusterpushsecrets" | toJson }}
  # Finalizers.
  verbs: [patch]
- apiGroups: [external-secrets.io]
  resources: {{ toJson $statuses }}
  verbs: [update]
{{- if .Values.openshiftFinalizers }}
- apiGroups: [external-secrets.io]
  resources: {{ toJson $finalizers }}
  # Owner references that block the deletion of their owner need this on OpenShift.
  verbs: [update]
{{- end }}
{{- if $clusterExternalSecrets }}
- apiGroups: [external-secrets.io]
  resources: [externalsecrets]
  verbs: [create, update, delete]
{{- end }}
{{- if $clusterPushSecrets }}
- apiGroups: [external-secrets.io]
  resources: [pushsecrets]
  verbs: [create, update, delete]
{{- end }}
- apiGroups: [generators.external-secrets.io]
  resources: ["*"]
  verbs: [get]
- apiGroups: [generators.external-secrets.io]
  resources: [generatorstates]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch{{ if .Values.genericTargets.enabled }}, create, update, delete{{ end }}]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get]
{{- if .Values.rbac.serviceAccountTokenCreate }}
- apiGroups: [""]
  resources: [serviceaccounts/token]
  verbs: [create]
{{- end }}
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- if not $scoped }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch{{ if $clusterExternalSecrets }}, patch{{ end }}]
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingwebhookconfigurations]
  # Those that upstream has left behind are reported.
  verbs: [list]
{{- end }}
{{- if .Values.genericTargets.enabled }}
{{- range .Values.genericTargets.resources }}
- apiGroups: [{{ .apiGroup | quote }}]
  resources: {{ toJson .resources }}
  verbs: {{ toJson .verbs }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The namespaces of the side of External Secrets, with commas between them; empty means all. */}}
{{- define "sealwright.scopedNamespace" -}}
{{- if .Values.scopedNamespace -}}
{{- nospace .Values.scopedNamespace -}}
{{- else if .Values.scopedRBAC -}}
{{- include "sealwright.namespace" . -}}
{{- end -}}
{{- end -}}

{{- define "sealwright.pairs" -}}
{{- $pairs := list -}}
{{- range $key, $value := . -}}
{{- $pairs = append $pairs (printf "%s=%s" $key (toString $value)) -}}
{{- end -}}
{{- join "," $pairs -}}
{{- end -}}
