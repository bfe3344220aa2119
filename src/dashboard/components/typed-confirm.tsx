import type { ComponentChildren } from 'preact';
import { useId, useState } from 'preact/hooks';
import { Action } from './button.tsx';
import { Dialog } from './dialog.tsx';

interface TypedConfirmProps {
  readonly title: string;
  /** What will happen. */
  readonly children: ComponentChildren;
  /** What the user must type, such as the id of what is deleted. */
  readonly word: string;
  /** The words of the button. */
  readonly action: string;
  readonly run: () => Promise<unknown>;
  readonly onClose: () => void;
}

/** Asks before something that cannot be taken back and hits others, and lets nobody press past it. */
export function TypedConfirm({ title, children, word, action, run, onClose }: TypedConfirmProps) {
  const [typed, setTyped] = useState('');
  const id = useId();
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="dialog-body">
        {children}
        <div class="field">
          <label for={id}>
            To confirm, type <code>{word}</code>
          </label>
          <input
            id={id}
            autocomplete="off"
            spellcheck={false}
            autoFocus
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </div>
      </div>
      <footer class="buttons">
        <button type="button" class="button plain" onClick={onClose}>
          Keep it
        </button>
        <Action kind="danger" disabled={typed.trim() !== word} run={run}>
          {action}
        </Action>
      </footer>
    </Dialog>
  );
}
