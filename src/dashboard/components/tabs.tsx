import { useUrl } from '../data/use-url.ts';

interface TabsProps {
  /** What is chosen, for screen readers. */
  readonly label: string;
  /** The parameter of the URL that has the choice. */
  readonly name: string;
  /** The values with their words; the first is chosen if the URL has none. */
  readonly choices: Readonly<Record<string, string>>;
  readonly current: string;
}

/** A choice of a few, each a link: it can be opened, shared and gone back from. */
export function Tabs({ label, name, choices, current }: TabsProps) {
  const { link } = useUrl();
  const [first] = Object.keys(choices);
  return (
    <nav class="tabs" aria-label={label}>
      {Object.entries(choices).map(([value, words]) => (
        <a
          key={value}
          href={link({ [name]: value === first ? undefined : value, cursor: undefined })}
          aria-current={value === current ? 'true' : undefined}
        >
          {words}
        </a>
      ))}
    </nav>
  );
}
