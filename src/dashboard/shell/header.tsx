import { replicaAge } from '../api/request.ts';
import { Action } from '../components/button.tsx';
import { ThemeButton } from '../components/theme-button.tsx';
import { useUrl } from '../data/use-url.ts';
import { helpOpen } from '../keyboard.ts';
import { session, signOut } from '../session.ts';
import { Brand } from './brand.tsx';
import { TenantSwitch } from './tenant-switch.tsx';

/** The bar at the top: the name, the tenant, the theme, the help and the way out. */
export function Header({ menuOpen, onMenu }: { menuOpen: boolean; onMenu: () => void }) {
  const { path } = useUrl();
  const { value } = session;
  return (
    <header class="header">
      <button
        type="button"
        class="icon-button menu-button"
        aria-expanded={menuOpen}
        aria-controls="navigation"
        aria-label="Menu"
        onClick={onMenu}
      >
        ☰
      </button>
      <Brand isCurrent={path === '/' || path === '/portal'} />
      {value?.portal == null && <TenantSwitch />}
      <div class="spacer" />
      {replicaAge.value !== null && (
        <span class="muted" title="Lists and figures are read from a replica of the database.">
          Up to {replicaAge.value} s old
        </span>
      )}
      <ThemeButton />
      <button
        type="button"
        class="icon-button help-button"
        aria-label="Keyboard shortcuts"
        title="Keyboard shortcuts (?)"
        onClick={() => {
          helpOpen.value = true;
        }}
      >
        ?
      </button>
      {value?.signed_in && value.portal === null && <Action run={signOut}>Sign out</Action>}
    </header>
  );
}
