/** A text as in the README: code stands in backticks. Of links, whose targets are files of the checkout, only the text. */
export function WithCode({ text }: { text: string }) {
  const withoutLinks = text.replaceAll(/\[([^\]]+)\]\(docs\/[^)]*\)/g, '$1');
  return (
    <>
      {withoutLinks
        .split('`')
        .map((part, n) => (n % 2 === 0 ? part : <code key={part}>{part}</code>))}
    </>
  );
}
