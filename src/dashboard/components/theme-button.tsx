import { nextTheme, theme } from '../theme.ts';

/** The button that goes through the themes: as the browser prefers, light, dark. */
export function ThemeButton() {
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={`Theme: ${theme.value}`}
      title={`Theme: ${theme.value}`}
      onClick={() => {
        theme.value = nextTheme(theme.value);
      }}
    >
      {{ system: '◐', light: '☀', dark: '☾' }[theme.value]}
    </button>
  );
}
