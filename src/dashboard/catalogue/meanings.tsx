import { WithCode } from '../components/with-code.tsx';
import type { Meaning } from './document.ts';

/** Names with what they mean. */
export function Meanings({ title, meanings }: { title: string; meanings: readonly Meaning[] }) {
  return (
    <section class="section">
      <h2>{title}</h2>
      <dl class="settings">
        {meanings.map(({ name, meaning }) => (
          <div key={name}>
            <dt>
              <code>{name}</code>
            </dt>
            <dd>
              <WithCode text={meaning} />
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
