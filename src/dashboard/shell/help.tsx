import { Dialog } from '../components/dialog.tsx';
import { helpOpen, SHORTCUTS, shortcutsOn, turnShortcuts } from '../keyboard.ts';

/** The list of the keyboard shortcuts, and the switch that turns them off. */
export function Help() {
  return (
    <Dialog
      title="Keyboard shortcuts"
      onClose={() => {
        helpOpen.value = false;
      }}
    >
      <dl class="shortcuts">
        {SHORTCUTS.map(([key, meaning]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <label class="check">
        <input
          type="checkbox"
          checked={shortcutsOn.value}
          onChange={(event) => turnShortcuts(event.currentTarget.checked)}
        />
        Single keys do this
      </label>
    </Dialog>
  );
}
