// Loaded before all others. With LANG=C or POSIX, Chrome on Linux names its language `en-US@posix`, which Intl refuses;
// uPlot asks Intl for it when it is loaded, and the page would stay empty.
try {
  new Intl.NumberFormat(navigator.language);
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en' });
}
