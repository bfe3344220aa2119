{{/* A value of a setting as text: YAML reads off as false, and numbers as floats. */}}
{{- define "posthorn.text" -}}
{{- if kindIs "bool" . -}}
{{- ternary "on" "off" . -}}
{{- else if and (kindIs "float64" .) (eq . (float64 (int64 .))) -}}
{{- int64 . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{- define "posthorn.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .ref.name }}
      key: {{ default .name .ref.key }}
{{- end -}}

{{/* Parameters: root, role. Workers need neither the admin key nor the names of the API. */}}
{{- define "posthorn.env" -}}
{{- $role := .role -}}
- name: POSTHORN_ROLE
  value: {{ $role }}
- name: PORT
  value: "5000"
- name: POSTHORN_SHUTDOWN_GRACE
  value: "{{ int .root.Values.shutdown.graceSeconds }}s"
{{- if eq $role "api" }}
- name: POSTHORN_SHUTDOWN_DELAY
  value: "{{ int .root.Values.shutdown.delaySeconds }}s"
{{- end }}
{{- range $name, $value := .root.Values.settings }}
{{- if not (or (kindIs "invalid" $value) (and (eq $role "worker") (eq $name "POSTHORN_ALLOW_HOSTS"))) }}
- name: {{ $name }}
  value: {{ include "posthorn.text" $value | quote }}
{{- end }}
{{- end }}
{{- range $name, $ref := .root.Values.secrets }}
{{- if and $ref (not (and (eq $role "worker") (eq $name "POSTHORN_ADMIN_KEY"))) }}
{{ include "posthorn.secretEnv" (dict "name" $name "ref" $ref) }}
{{- end }}
{{- end }}
{{- with .root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
