import type { ComponentChildren } from 'preact';
import type { Submit } from '../data/use-submit.ts';
import { Dialog } from './dialog.tsx';
import { FormError } from './field.tsx';

interface FormDialogProps {
  readonly title: string;
  readonly submit: Submit;
  /** The words of the button that sends the form. */
  readonly action: string;
  readonly danger?: boolean;
  /** The words of the button that closes the window. */
  readonly keep?: string;
  /** The names of its fields, whose errors stand at the fields. */
  readonly fields: readonly string[];
  readonly children: ComponentChildren;
  readonly onClose: () => void;
}

/** A window with a form that the API takes or refuses. */
export function FormDialog(props: FormDialogProps) {
  const { title, submit, action, danger = false, keep = 'Leave it as it is' } = props;
  const { onSubmit, busy, error } = submit;
  return (
    <Dialog title={title} onClose={props.onClose}>
      <form onSubmit={onSubmit} noValidate>
        <div class="dialog-body">
          {props.children}
          <FormError error={error} fields={props.fields} />
        </div>
        <footer class="buttons">
          <button type="button" class="button plain" onClick={props.onClose}>
            {keep}
          </button>
          <button
            type="submit"
            class={`button ${danger ? 'danger' : 'primary'}`}
            disabled={busy}
            aria-busy={busy}
          >
            {action}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
