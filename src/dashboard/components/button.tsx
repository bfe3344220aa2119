import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { ApiError } from '../api/request.ts';
import { isAboutSession } from '../session.ts';
import { Confirm } from './dialog.tsx';
import { toast } from './toast.tsx';

interface ActionProps {
  readonly children: ComponentChildren;
  /** Does it. What it throws is shown as a toast. */
  readonly run: () => Promise<unknown>;
  /** The toast when it is done. */
  readonly done?: string;
  /** Asks first: what will happen, in a sentence. */
  readonly confirm?: string;
  readonly kind?: 'primary' | 'danger' | 'plain';
  readonly disabled?: boolean;
}

/**
 * A button that does something by the API: it cannot be pressed twice, asks first if need be, and says how it went.
 *
 * @example
 * <Action run={() => api.cancelWebhook(id)} done="Cancelled." confirm="The webhook is then not sent." kind="danger">
 *   Cancel
 * </Action>
 */
export function Action({ children, run, done, confirm, kind = 'plain', disabled }: ActionProps) {
  const [busy, setBusy] = useState(false);
  const [asking, setAsking] = useState(false);

  async function act() {
    setAsking(false);
    setBusy(true);
    try {
      await run();
      if (done !== undefined) toast(done);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!isAboutSession(error)) toast(error.message, 'bad');
    } finally {
      setBusy(false);
    }
  }

  return (
    <>
      <button
        type="button"
        class={`button ${kind}`}
        disabled={disabled === true || busy}
        aria-busy={busy}
        onClick={() => (confirm === undefined ? act() : setAsking(true))}
      >
        {children}
      </button>
      {asking && confirm !== undefined && (
        <Confirm
          text={confirm}
          action={children}
          danger={kind === 'danger'}
          onConfirm={act}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  );
}
