import { useEffect, useLayoutEffect } from 'preact/hooks';
import { LocationProvider, useLocation } from 'preact-iso/router';
import { refusal } from './api/request.ts';
import { Show } from './components/states.tsx';
import { Toasts } from './components/toast.tsx';
import { useData } from './data/use-data.ts';
import { shownTenant, tenantOfUrl } from './lib/tenant.ts';
import { isPortal } from './lib/urls.ts';
import { isOpen, readSession, session } from './session.ts';
import { PortalEnded } from './shell/portal-ended.tsx';
import { Shell } from './shell/shell.tsx';
import { SignIn } from './shell/sign-in.tsx';

/** The whole page: the screens for who is signed in, or else the sign-in screen, at the same URL. */
export function App() {
  return (
    <LocationProvider scope={/^\/(?:$|\?|dashboard(?:[/?]|$)|portal(?:[/?]|$))/}>
      <Gate />
      <Toasts />
    </LocationProvider>
  );
}

function Gate() {
  const { url } = useLocation();
  useLayoutEffect(() => {
    shownTenant.value = tenantOfUrl();
  }, [url]);
  const known = useData(readSession, []);
  const { value } = session;
  const refused = refusal.value;
  useEffect(() => {
    // The API refused the session: it ended, or its key was revoked. The screens go, and with them what they show.
    if (refused !== null && value !== undefined && isOpen(value))
      session.value = { ...value, signed_in: false, required: true };
  }, [refused]);
  if (value === undefined) return <Show loaded={{ ...known, data: undefined }}>{() => null}</Show>;
  if (isOpen(value)) return <Shell />;
  return isPortal() ? <PortalEnded /> : <SignIn />;
}
