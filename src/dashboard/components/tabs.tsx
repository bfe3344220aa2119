import { useUrl } from '../data/use-url.ts';

interface TabsProps {
  /** What is chosen, for screen readers. */
  readonly label: string;
  /** The parameter of the URL that has the choice. */
  readonly name: string;
  /** The values with their words. */
  readonly choices: Readonly<Record<string, string>>;
  /** The value that is chosen if the URL has none; left out: the first. */
  readonly standard?: string;
  readonly current: string;
}

/** A choice of a few, each a link: it can be opened, shared and gone back from. */
export function Tabs({ label, name, choices, standard, current }: TabsProps) {
  const { link } = useUrl();
  const [first] = Object.keys(choices);
  const unsaid = standard ?? first;
  return (
    <nav class="tabs" aria-label={label}>
      {Object.entries(choices).map(([value, words]) => (
        <a
          key={value}
          href={link({ [name]: value === unsaid ? undefined : value, cursor: undefined })}
          aria-current={value === current ? 'true' : undefined}
        >
          {words}
        </a>
      ))}
    </nav>
  );
}
