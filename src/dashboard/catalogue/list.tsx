import { useEffect } from 'preact/hooks';
import { SearchField } from '../components/search-field.tsx';
import { Empty } from '../components/states.tsx';
import { useUrl } from '../data/use-url.ts';
import type { Catalogue, PublicEventType } from './document.ts';
import { Meanings } from './meanings.tsx';

/** All event types, in groups by their first word, and how a receiver verifies a webhook. */
export function List({ catalogue: { types, headers, answers } }: { catalogue: Catalogue }) {
  const { query } = useUrl();
  const search = (query.search ?? '').toLowerCase();
  const found = types.filter(({ name, description }) =>
    `${name} ${description ?? ''}`.toLowerCase().includes(search),
  );
  useEffect(() => {
    document.title = 'Event types · Webhooks';
  }, []);
  return (
    <>
      <h1>Event types</h1>
      <p class="lead">
        The events that can be sent to you. Each is a POST to your URL with a JSON body. Tools can
        read the same as an <a href="/v1/catalogue">OpenAPI document</a>.
      </p>
      {types.length > 0 && (
        <div class="filters">
          <SearchField label="Search in names and descriptions" name="search" wide />
        </div>
      )}
      {found.length > 0 ? (
        <Groups types={found} />
      ) : (
        <Empty title={types.length === 0 ? 'No event type is public yet' : 'No event type matches'}>
          {types.length > 0 && (
            <p>
              <a href="/catalogue">Show all event types</a>
            </p>
          )}
        </Empty>
      )}
      <Meanings title="Headers of each webhook" meanings={headers} />
      {answers.length > 0 && <Meanings title="Your answer" meanings={answers} />}
    </>
  );
}

function Groups({ types }: { types: readonly PublicEventType[] }) {
  const groups = Map.groupBy(types, ({ name }) => name.split('.')[0] ?? name);
  return (
    <>
      {[...groups].map(([group, members]) => (
        <section key={group} class="section">
          <h2>{group}</h2>
          <ul class="event-types">
            {members.map(({ name, description }) => (
              <li key={name}>
                <a href={`/catalogue/${name}`} data-row>
                  <code>{name}</code>
                </a>
                {description !== null && <p>{description}</p>}
              </li>
            ))}
          </ul>
        </section>
      ))}
    </>
  );
}
