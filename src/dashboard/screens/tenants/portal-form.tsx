import { useState } from 'preact/hooks';
import { createPortalLink, type Tenant, type Theme, updateTenant } from '../../api/client.ts';
import { Action } from '../../components/button.tsx';
import { ColourField } from '../../components/colour-field.tsx';
import { FormError } from '../../components/field.tsx';
import { SelectField, TextField } from '../../components/text-field.tsx';
import { toast } from '../../components/toast.tsx';
import { useSubmit } from '../../data/use-submit.ts';
import { LogoField } from './logo-field.tsx';

const MODES = { auto: 'as the browser prefers', light: 'light', dark: 'dark' } as const;
const FIELDS = ['logo', 'accent', 'header', 'mode', 'origins'].map((name) => `portal.${name}`);

/** How the portal of a tenant looks, and where it may be embedded. A preview shows it before it is saved. */
export function PortalForm({ tenant, reload }: { tenant: Tenant; reload: () => void }) {
  const saved = tenant.portal ?? {};
  const [logo, setLogo] = useState(saved.logo ?? null);
  const [accent, setAccent] = useState(saved.accent ?? '');
  const [header, setHeader] = useState(saved.header ?? '');
  const [mode, setMode] = useState<Theme['mode']>(saved.mode ?? 'auto');
  const [origins, setOrigins] = useState((saved.origins ?? []).join('\n'));
  const theme: Theme = { logo, accent: accent.trim() || null, header: header.trim() || null, mode };
  const { onSubmit, busy, error } = useSubmit(
    () => updateTenant(tenant.id, { portal: { origins: linesOf(origins), ...theme } }),
    () => {
      toast('Saved.');
      reload();
    },
  );
  return (
    <form class="form" onSubmit={onSubmit} noValidate>
      <fieldset class="part">
        <legend>Portal</legend>
        <LogoField error={error} value={logo} onChange={setLogo} />
        <div class="row">
          <ColourField
            label="Buttons and links"
            name="portal.accent"
            standard="#2f57c9"
            error={error}
            value={accent}
            onChange={setAccent}
          />
          <ColourField
            label="Behind the logo"
            name="portal.header"
            standard="#ffffff"
            error={error}
            value={header}
            onChange={setHeader}
          />
        </div>
        <SelectField
          label="Light or dark"
          name="portal.mode"
          error={error}
          value={mode}
          onChange={(value) => setMode(value as Theme['mode'])}
          choices={MODES}
        />
        <TextField
          label="Origins that may embed it in an iframe"
          name="portal.origins"
          hint="One a line. Empty: no page may embed it."
          placeholder="https://app.example.com"
          rows={2}
          code
          error={error}
          value={origins}
          onChange={setOrigins}
        />
        <FormError error={error} fields={FIELDS} />
        <div class="buttons">
          <button type="submit" class="button primary" disabled={busy} aria-busy={busy}>
            Save the portal
          </button>
          <Preview key={JSON.stringify(theme)} tenant={tenant.id} theme={theme} />
        </div>
      </fieldset>
    </form>
  );
}

/** A button that makes a link to the portal with a theme, for the eyes of who changes it. */
function Preview({ tenant, theme }: { tenant: string; theme: Theme }) {
  const [url, setUrl] = useState<string>();
  if (url === undefined)
    return (
      <Action
        run={async () => {
          const link = { access: 'read', expires_in: '15m', theme } as const;
          setUrl((await createPortalLink(tenant, {}, link)).url);
        }}
      >
        Preview
      </Action>
    );
  return (
    // It opens once.
    <a class="button" href={url} target="_blank" rel="noopener" onClick={() => setUrl(undefined)}>
      Open the preview ↗
    </a>
  );
}

function linesOf(text: string): string[] {
  const lines = text.split(/[\s,]+/).filter((line) => line !== '');
  return [...new Set(lines)];
}
