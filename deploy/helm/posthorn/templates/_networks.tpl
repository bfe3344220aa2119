{{/*
The public internet, as src/http/address-guard.ts defines it; test/deploy/helm compares both. The guard judges each
address again, so a policy of a cluster that enforces none leaves nothing open.
*/}}
{{- define "posthorn.notPublicIpv4" -}}
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
{{- end -}}

{{/* Within 2000::/3. */}}
{{- define "posthorn.notPublicIpv6" -}}
2001::/23 2001:db8::/32 2002::/16 3fff::/20
{{- end -}}

{{/* The networks of a setting, each with its prefix, separated by spaces. */}}
{{- define "posthorn.networks" -}}
{{- $networks := list -}}
{{- range splitList "," (default "" .) -}}
{{- $network := trim . -}}
{{- if and $network (not (contains "/" $network)) -}}
{{- $network = printf "%s/%s" $network (ternary "128" "32" (contains ":" $network)) -}}
{{- end -}}
{{- if $network -}}{{- $networks = append $networks $network -}}{{- end -}}
{{- end -}}
{{- join " " $networks -}}
{{- end -}}

{{/* The ports to which deliveries go. */}}
{{- define "posthorn.deliveryPorts" -}}
{{- $extra := default "" (get .Values.settings "POSTHORN_ALLOW_PORTS") | include "posthorn.text" -}}
{{- $ports := list "80" "443" -}}
{{- range splitList "," $extra -}}
{{- with trim . -}}{{- $ports = append $ports . -}}{{- end -}}
{{- end -}}
{{- if has "*" $ports -}}
- protocol: TCP
{{- else -}}
{{- range uniq $ports }}
{{- $range := splitList "-" . }}
- protocol: TCP
  port: {{ index $range 0 }}
  {{- if gt (len $range) 1 }}
  endPort: {{ index $range 1 }}
  {{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* To whom deliveries may go: all but what is not public or denied, and what is allowed besides. */}}
{{- define "posthorn.deliveryPeers" -}}
{{- $denied := splitList " " (include "posthorn.networks" (get .Values.settings "POSTHORN_DENY_NETWORKS")) -}}
{{- if .Values.networkPolicy.publicEgress }}
- ipBlock:
    cidr: 0.0.0.0/0
    except:
      {{- range splitList " " (include "posthorn.notPublicIpv4" .) }}
      - {{ . }}
      {{- end }}
      {{- range $denied }}
      {{- if contains "." . }}
      - {{ . }}
      {{- end }}
      {{- end }}
- ipBlock:
    cidr: 2000::/3
    except:
      {{- range splitList " " (include "posthorn.notPublicIpv6" .) }}
      - {{ . }}
      {{- end }}
      {{- range $denied }}
      {{- if regexMatch "^[23][0-9a-fA-F]{3}:" . }}
      - {{ . }}
      {{- end }}
      {{- end }}
{{- end }}
{{- range splitList " " (include "posthorn.networks" (get .Values.settings "POSTHORN_ALLOW_NETWORKS")) }}
{{- with . }}
- ipBlock:
    cidr: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Egress that every pod needs. */}}
{{- define "posthorn.databaseEgress" -}}
- ports:
    - protocol: UDP
      port: 53
    - protocol: TCP
      port: 53
  {{- with .Values.networkPolicy.dnsTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
- ports:
    - protocol: TCP
      port: {{ int .Values.networkPolicy.postgres.port }}
  {{- with .Values.networkPolicy.postgres.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
