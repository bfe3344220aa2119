{{/* What a schema cannot say in a way that helps. Included once, by deployments.yaml. */}}
{{- define "posthorn.checks" -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository is not set. No image of Posthorn is published: build one from the Dockerfile, push it to a registry of yours, and name it here." -}}
{{- end -}}
{{- if not .Values.secrets.DATABASE_URL -}}
{{- fail "secrets.DATABASE_URL is not set. Name the Secret that has the URL of your Postgres, such as --set secrets.DATABASE_URL.name=posthorn. Its key is DATABASE_URL, unless secrets.DATABASE_URL.key names another." -}}
{{- end -}}
{{- $auth := include "posthorn.text" (get .Values.settings "POSTHORN_AUTH") -}}
{{- if and (not .Values.secrets.POSTHORN_ADMIN_KEY) (ne $auth "off") -}}
{{- fail "secrets.POSTHORN_ADMIN_KEY is not set. Name the Secret that has the admin key, at least 16 characters, such as --set secrets.POSTHORN_ADMIN_KEY.name=posthorn. Only if a proxy in front of the API authenticates all requests, set settings.POSTHORN_AUTH=off instead." -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is empty. Name the hosts at which the API is to be reached, such as --set ingress.hosts={hooks.example.com}." -}}
{{- end -}}
{{- range list "api" "worker" -}}
{{- $scaling := (get $.Values .).autoscaling -}}
{{- if and $scaling.enabled (lt (int $scaling.maxReplicas) (int $scaling.minReplicas)) -}}
{{- fail (printf "%s.autoscaling.maxReplicas is %d, which is less than minReplicas, %d." . (int $scaling.maxReplicas) (int $scaling.minReplicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
