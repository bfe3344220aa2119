import { Type } from 'typebox';
import { PORTAL_ACCESS, PORTAL_SCREENS, THEME_MODES } from '../../sessions/portal.ts';
import { named, nullable, oneOf } from './common.ts';

const COLOUR = '^#[0-9a-fA-F]{6}$';
/** A host, or a host and a port. Nothing that could end the directive of a Content-Security-Policy. */
const ORIGIN =
  '^(https://([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?|http://(localhost|127\\.0\\.0\\.1))(:[0-9]{1,5})?$';
/** Shown as an image only, in which the browser runs no script and loads nothing. */
const LOGO = '^data:image/(png|jpeg|webp|svg\\+xml);base64,[A-Za-z0-9+/]+={0,2}$';
const MAX_LOGO = 16_384;

const Logo = nullable(
  Type.String({
    maxLength: MAX_LOGO,
    pattern: LOGO,
    description: `An image as a URL such as data:image/svg+xml;base64,…: PNG, JPEG, WebP or SVG, of at most ${MAX_LOGO} characters. It is in the page itself, so that the page loads nothing from elsewhere. Null: no logo.`,
  }),
);
const colour = (of: string) =>
  nullable(
    Type.String({
      pattern: COLOUR,
      description: `The colour ${of}, as #rrggbb. Null: the one of the dashboard.`,
      examples: ['#0a7d5a'],
    }),
  );
const Accent = colour('of buttons and links');
const Header = colour('behind the logo');
const Mode = oneOf(THEME_MODES, 'auto: light or dark, as the browser of the customer prefers.');

/** A theme in an answer, with every field. */
export const ThemeSchema = named('Theme', {
  logo: Logo,
  accent: Accent,
  header: Header,
  mode: Mode,
});

/** Fields of a theme in a request. */
export const ThemeFields = {
  logo: Type.Optional(Logo),
  accent: Type.Optional(Accent),
  header: Type.Optional(Header),
  mode: Type.Optional(Mode),
};

/** What a tenant stores about its portal. */
export const PortalSettingsSchema = nullable(
  Type.Object(
    {
      origins: Type.Optional(
        Type.Array(Type.String({ maxLength: 260, pattern: ORIGIN }), {
          maxItems: 20,
          uniqueItems: true,
          description:
            'The origins whose pages may embed the portal in an iframe, such as https://app.example.com; http only for localhost and 127.0.0.1. Left out: none may.',
          examples: [['https://app.example.com']],
        }),
      ),
      ...ThemeFields,
    },
    { title: 'PortalSettings', additionalProperties: false },
  ),
);

export const PORTAL_ACCESS_MEANING =
  'read: look at everything. manage: also change subscriptions, and retry and cancel deliveries.';
export const PortalAccessSchema = oneOf(PORTAL_ACCESS, PORTAL_ACCESS_MEANING);
export const PortalScreens = Type.Array(oneOf(PORTAL_SCREENS), {
  minItems: 1,
  maxItems: PORTAL_SCREENS.length,
  uniqueItems: true,
  description:
    'The screens of the portal. The session may call only the routes that these use. Left out: all.',
  examples: [['webhooks', 'subscriptions']],
});
