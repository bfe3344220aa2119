/** Reads a setting that this browser keeps. Null: there is none, or the browser keeps nothing. */
export function readSetting(name: string): string | null {
  try {
    return localStorage.getItem(`posthorn.${name}`);
  } catch {
    return null;
  }
}

/** Keeps a setting in this browser, if it allows that. */
export function writeSetting(name: string, value: string): void {
  try {
    localStorage.setItem(`posthorn.${name}`, value);
  } catch {
    // A private window may refuse. The setting then lasts until the page closes.
  }
}
