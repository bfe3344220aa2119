import { useEffect } from 'preact/hooks';
import { LocationProvider, Route, Router } from 'preact-iso/router';
import { getPublicCatalogue } from '../api/client.ts';
import { Show } from '../components/states.tsx';
import { ThemeButton } from '../components/theme-button.tsx';
import { Toasts } from '../components/toast.tsx';
import { useData } from '../data/use-data.ts';
import { helpOpen, listenForKeys } from '../keyboard.ts';
import { Help } from '../shell/help.tsx';
import { type Catalogue, readDocument } from './document.ts';
import { EventType } from './event-type.tsx';
import { List } from './list.tsx';

/** The catalogue of event types for everybody. It reads one document, without a key. */
export function App() {
  useEffect(listenForKeys, []);
  const loaded = useData(async (signal) => readDocument(await getPublicCatalogue({ signal })), []);
  return (
    <LocationProvider scope={/^\/catalogue(?:[/?]|$)/}>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="header">
        <a class="brand" href="/catalogue">
          Webhooks
        </a>
        <div class="spacer" />
        <ThemeButton />
      </header>
      <main id="main" class="catalogue" tabIndex={-1}>
        <Show loaded={loaded}>{(catalogue) => <Pages catalogue={catalogue} />}</Show>
      </main>
      {helpOpen.value && <Help />}
      <Toasts />
    </LocationProvider>
  );
}

function Pages({ catalogue }: { catalogue: Catalogue }) {
  return (
    <Router>
      <Route path="/catalogue" component={List} catalogue={catalogue} />
      <Route path="/catalogue/:event_type" component={EventType} catalogue={catalogue} />
      <Route default component={NotFound} />
    </Router>
  );
}

function NotFound() {
  return (
    <div class="empty">
      <h1>There is no such page</h1>
      <p>
        Go to the <a href="/catalogue">event types</a>.
      </p>
    </div>
  );
}
