{{- define "deskmint.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 52 characters: the longest suffix of ours, -headless, and 63 are a DNS label. */}}
{{- define "deskmint.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "deskmint.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "deskmint.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is required without serviceAccount.create: Vault's role is bound to it" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "deskmint.selectorLabels" -}}
app.kubernetes.io/name: {{ include "deskmint.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "deskmint.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "deskmint.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "deskmint.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* True where Vault's login takes a token of the service account's. */}}
{{- define "deskmint.vaultToken" -}}
{{- $auth := dig "vault" "auth" (dict) .Values.config.secrets -}}
{{- if and (eq .Values.config.secrets.source "vault") (has (get $auth "method") (list "kubernetes" "jwt")) (not (get $auth "jwt_file")) -}}true{{- end -}}
{{- end -}}

{{/* A key of a ConfigMap or of a Secret as a source of a projected volume. */}}
{{- define "deskmint.projected" -}}
{{- if and (get .from "configMap") (get .from "secret") -}}
{{- fail (printf "%s: give a ConfigMap or a Secret, not both" .value) -}}
{{- else if get .from "configMap" -}}
- configMap: {name: {{ .from.configMap | quote }}, items: [{key: {{ .from.key | quote }}, path: {{ .path | quote }}}]}
{{- else if get .from "secret" -}}
- secret: {name: {{ .from.secret | quote }}, items: [{key: {{ .from.key | quote }}, path: {{ .path | quote }}}]}
{{- end -}}
{{- end -}}

{{- define "deskmint.given" -}}
{{- if or (get . "configMap") (get . "secret") -}}true{{- end -}}
{{- end -}}

{{/* Deskmint's configuration: what the values say, and what follows from them. */}}
{{- define "deskmint.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "listen" (dict "grpc" ":9090" "http" ":8080" "ops" ":9091") -}}
{{- if .Values.tls.enabled -}}
{{- $tls := dict "certificate" "/etc/deskmint/tls/tls.crt" "key" "/etc/deskmint/tls/tls.key" -}}
{{- if include "deskmint.given" .Values.tls.clientCA -}}
{{- $_ := set $tls "client_ca" "/etc/deskmint/tls/clients.pem" -}}
{{- end -}}
{{- $_ := set $config "tls" $tls -}}
{{- else -}}
{{- $_ := set $config "tls" (dict "allow_plaintext" true) -}}
{{- end -}}
{{- if include "deskmint.given" .Values.vault.ca -}}
{{- $_ := set $config.secrets.vault "ca" "/etc/deskmint/vault/ca.pem" -}}
{{- end -}}
{{- if include "deskmint.vaultToken" . -}}
{{- $_ := set $config.secrets.vault.auth "jwt_file" "/var/run/secrets/deskmint/vault/token" -}}
{{- end -}}
{{- if .Values.audit.emailKey.secret -}}
{{- $_ := set $config "audit" (merge (dict "email_key_file" "/etc/deskmint/audit/audit.key") (default (dict) (get $config "audit"))) -}}
{{- end -}}
{{- with .Values.clusterIssuer -}}
{{- if .enabled -}}
{{- $cluster := dict "name" .name "issuer" .issuer "audience" .audience "jwks" .jwks "ca" "/var/run/secrets/deskmint/cluster/ca.crt" "token_file" "/var/run/secrets/deskmint/cluster/token" -}}
{{- $_ := set $config "issuers" (append (default (list) (get $config "issuers")) $cluster) -}}
{{- end -}}
{{- end -}}
{{- if .Values.includes -}}
{{- $_ := set $config "include" (list "/etc/deskmint/includes/*/*.yaml") -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* What a running replica doesn't take over when its file changes. */}}
{{- define "deskmint.settings" -}}
{{- omit (include "deskmint.config" . | fromYaml) "configurations" "callers" "issuers" "include" | toYaml -}}
{{- end -}}

{{/* The authorities of Vault and of the cluster, as they are in the cluster. Nothing where Helm can't ask it: `helm template`. */}}
{{- define "deskmint.authorities" -}}
{{- range $ca := list .Values.vault.ca (ternary (dict "configMap" "kube-root-ca.crt" "key" "ca.crt") dict .Values.clusterIssuer.enabled) -}}
{{- range $kind, $name := dict "ConfigMap" (get $ca "configMap") "Secret" (get $ca "secret") -}}
{{- with $name -}}
{{- dig "data" $ca.key "" (lookup "v1" $kind $.Release.Namespace .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* NetworkPolicy: from or to, and ports. */}}
{{- define "deskmint.peers" -}}
{{- range get . "namespaces" }}
- namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ . | quote }}}}
{{- end }}
{{- with get . "peers" }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "deskmint.egress" -}}
{{- if get . "ports" }}
- ports:
    {{- $protocols := default (list "TCP") (get . "protocols") }}
    {{- range $port := .ports }}
    {{- range $protocols }}
    - {protocol: {{ . }}, port: {{ $port }}}
    {{- end }}
    {{- end }}
  {{- with get . "peers" }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- else if get . "peers" }}
{{- fail "networkPolicy.egress: peers need ports" }}
{{- end }}
{{- end -}}
