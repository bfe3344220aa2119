/** A text in which code stands in backticks, as in the README. */
export function WithCode({ text }: { text: string }) {
  return (
    <>{text.split('`').map((part, n) => (n % 2 === 0 ? part : <code key={part}>{part}</code>))}</>
  );
}
