import { useEffect, useLayoutEffect, useState } from 'preact/hooks';
import { Route, Router, useLocation } from 'preact-iso/router';
import { helpOpen, listenForKeys } from '../keyboard.ts';
import { basePath, to } from '../lib/urls.ts';
import { SCREENS, type Screen } from '../screens.ts';
import { may, shows } from '../session.ts';
import { Header } from './header.tsx';
import { Help } from './help.tsx';

const GROUPS = { watch: 'Watch', 'set up': 'Set up', service: 'Service' } as const;

/** The frame of all screens: header, navigation, and the screen of the URL. */
export function Shell() {
  const { path, url } = useLocation();
  const [menuOpen, setMenuOpen] = useState(false);
  useEffect(listenForKeys, []);
  // Before the next screen is painted.
  useLayoutEffect(() => setMenuOpen(false), [url]);
  useEffect(() => {
    const shown = screenAt(path);
    document.title = shown === undefined ? 'Posthorn' : `${shown.title} · Posthorn`;
  }, [path]);
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Header menuOpen={menuOpen} onMenu={() => setMenuOpen(!menuOpen)} />
      <Navigation open={menuOpen} path={path} />
      <main id="main" tabIndex={-1}>
        <Router>
          {SCREENS.filter(({ path: screen }) => shows(screen)).map(
            ({ path: screen, component, scope }) => (
              <Route
                key={screen}
                path={routeOf(screen)}
                component={may(scope) ? component : LACKS[scope]}
              />
            ),
          )}
          {shows('') ? [] : <Route path={routeOf('')} component={First} />}
          <Route default component={NotFound} />
        </Router>
      </main>
      {helpOpen.value && <Help />}
    </div>
  );
}

/** The first screen of a portal that has no overview. */
function First() {
  const Component = shownScreens()[0]?.component ?? NotFound;
  return <Component />;
}

/** The screens in the navigation. */
function shownScreens(): Screen[] {
  return SCREENS.filter(({ nav, scope, path }) => nav !== undefined && may(scope) && shows(path));
}

/** The pattern of a screen's path, for the router. */
function routeOf(screen: string): string {
  const base = basePath(location.pathname);
  return screen === '' ? (base === '/dashboard' ? '/' : base) : `${base}/${screen}`;
}

/** The screen of the navigation that a path belongs to. */
function screenAt(path: string): Screen | undefined {
  const inNavigation = SCREENS.filter(({ nav }) => nav !== undefined);
  return inNavigation.find(
    ({ path: screen }) =>
      path === routeOf(screen) || (screen !== '' && path.startsWith(`${routeOf(screen)}/`)),
  );
}

function Navigation({ open, path }: { open: boolean; path: string }) {
  const current = screenAt(path);
  const shown = shownScreens();
  return (
    <nav id="navigation" class={`navigation ${open ? 'open' : ''}`} aria-label="Screens">
      {Object.entries(GROUPS).map(([group, title]) => {
        const screens = shown.filter(({ nav }) => nav === group);
        return (
          screens.length > 0 && (
            <section key={group}>
              <h2>{title}</h2>
              <ul>
                {screens.map((screen) => (
                  <li key={screen.path}>
                    <a
                      href={to(screen.path)}
                      aria-current={screen === current ? 'page' : undefined}
                    >
                      {screen.title}
                    </a>
                  </li>
                ))}
              </ul>
            </section>
          )
        );
      })}
    </nav>
  );
}

/** What stands in place of a screen whose scope the session lacks. */
const LACKS = {
  read: () => <Lacks scope="read" />,
  manage: () => <Lacks scope="manage" />,
  admin: () => <Lacks scope="admin" />,
};

function Lacks({ scope }: { scope: string }) {
  return (
    <div class="empty">
      <h1>Your key may not do this</h1>
      <p>
        This page needs the scope <strong>{scope}</strong>. Sign out, and sign in with a key that
        has it.
      </p>
    </div>
  );
}

function NotFound() {
  return (
    <div class="empty">
      <h1>There is no such page</h1>
      <p>
        Go to the <a href={to('')}>first page</a>.
      </p>
    </div>
  );
}
