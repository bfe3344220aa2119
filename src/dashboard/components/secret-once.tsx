import type { ComponentChildren } from 'preact';
import { CopyButton } from './copy-button.tsx';
import { Dialog } from './dialog.tsx';

interface SecretOnceProps {
  readonly title: string;
  readonly secret: string;
  /** What it is, such as `the key`. */
  readonly what: string;
  readonly children?: ComponentChildren;
  readonly onClose: () => void;
}

/** Shows a secret that the API shows once. It is nowhere else: when the window closes, it is gone. */
export function SecretOnce({ title, secret, what, children, onClose }: SecretOnceProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="dialog-body">
        <p>
          <strong>Store {what} now.</strong> It is never shown again.
        </p>
        <div class="secret">
          <code>{secret}</code>
          <CopyButton text={secret} what={what} />
        </div>
        {children}
      </div>
      <footer class="buttons">
        <button type="button" class="button primary" onClick={onClose}>
          I have stored it
        </button>
      </footer>
    </Dialog>
  );
}
