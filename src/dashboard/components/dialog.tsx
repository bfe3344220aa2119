import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';

interface DialogProps {
  readonly title: string;
  readonly children: ComponentChildren;
  /** Called when it closes, by Escape too. The dialog is there as long as it is rendered. */
  readonly onClose: () => void;
}

/** A window over the page. The browser keeps the focus in it, and gives it back afterwards. */
export function Dialog({ title, children, onClose }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element?.showModal();
    // The browser would choose the button that closes it.
    element?.querySelector<HTMLElement>('.dialog-body :is(input, select, textarea)')?.focus();
    return () => {
      element?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class="dialog"
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}

interface ConfirmProps {
  /** What will happen. */
  readonly text: string;
  /** The words of the button that does it. */
  readonly action: ComponentChildren;
  readonly danger?: boolean;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}

/** Asks before something that cannot be taken back. */
export function Confirm({ text, action, danger = false, onConfirm, onClose }: ConfirmProps) {
  return (
    <Dialog title="Are you sure?" onClose={onClose}>
      <p>{text}</p>
      <footer class="buttons">
        <button type="button" class="button plain" onClick={onClose}>
          Keep it as it is
        </button>
        <button type="button" class={`button ${danger ? 'danger' : 'primary'}`} onClick={onConfirm}>
          {action}
        </button>
      </footer>
    </Dialog>
  );
}
