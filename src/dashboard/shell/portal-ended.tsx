import { refusal } from '../api/request.ts';

/** Stands in place of the portal when there is no session: nobody can sign in here, as there is no key. */
export function PortalEnded() {
  return (
    <main class="sign-in">
      <div class="empty">
        <h1>This page is closed</h1>
        <p role="status">
          {refusal.value ?? 'This page has ended. Open it again from where you came.'}
        </p>
      </div>
    </main>
  );
}
