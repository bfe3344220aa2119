/** A post horn. It is decoration: the name stands beside it. */
export function Horn() {
  return (
    <svg class="horn" viewBox="0 0 64 64" width="24" height="24" aria-hidden="true">
      <g fill="none" stroke="currentColor" stroke-linecap="round" stroke-linejoin="round">
        <circle cx="29" cy="27" r="13" stroke-width="5" />
        <path d="M6 40h39" stroke-width="5" />
        <path d="M4 36v8" stroke-width="4" />
      </g>
      <path
        d="M42 37.5c8 0 13-3 17-9.5v24c-4-6.5-9-9.5-17-9.5z"
        fill="currentColor"
        stroke="currentColor"
        stroke-width="2"
        stroke-linejoin="round"
      />
    </svg>
  );
}
