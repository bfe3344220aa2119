import { getSettings, type Setting } from '../../api/client.ts';
import { SearchField } from '../../components/search-field.tsx';
import { Empty, Show } from '../../components/states.tsx';
import { Tabs } from '../../components/tabs.tsx';
import { WithCode } from '../../components/with-code.tsx';
import { useData } from '../../data/use-data.ts';
import { useUrl } from '../../data/use-url.ts';
import { to } from '../../lib/urls.ts';

const SHOWN = { all: 'All', set: 'Set' };

/** The settings with which the service runs. They are changed in its environment, not here. */
export function Settings() {
  const { query } = useUrl();
  const loaded = useData((signal) => getSettings({ signal }), []);
  const shown = query.show === 'set' ? 'set' : 'all';
  const search = (query.search ?? '').toLowerCase();
  return (
    <>
      <div class="screen-head">
        <h1>Settings</h1>
      </div>
      <p class="lead">
        They are read from the environment when the service starts. Secrets are never shown.
      </p>
      <div class="filters">
        <Tabs label="Settings" name="show" choices={SHOWN} current={shown} />
        <SearchField label="Search in names and meanings" name="search" wide />
      </div>
      <Show loaded={loaded}>
        {({ settings }) => {
          const found = settings.filter(
            ({ name, meaning, source }) =>
              `${name} ${meaning}`.toLowerCase().includes(search) &&
              (shown === 'all' || source !== 'default'),
          );
          return found.length > 0 ? <List settings={found} /> : <NoneFound />;
        }}
      </Show>
    </>
  );
}

function List({ settings }: { settings: readonly Setting[] }) {
  return (
    <dl class="in-force">
      {settings.map((setting) => (
        <div key={setting.name}>
          <dt>
            <code>{setting.name}</code>
          </dt>
          <dd>
            <p class="value">
              <Value setting={setting} />
            </p>
            <p class="meaning">
              <WithCode text={setting.meaning} />
            </p>
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Value({ setting: { value, source, is_secret, default: fallback } }: { setting: Setting }) {
  const isSet = source !== 'default';
  return (
    <>
      {value !== null && value !== '' ? (
        <code>{value}</code>
      ) : (
        <span class={isSet ? '' : 'muted'}>{isSet ? 'set' : 'not set'}</span>
      )}
      {isSet ? (
        <span class="mark">
          {source === '.env' ? 'from .env' : 'from the environment'}
          {is_secret && value !== null && ', shown without its password'}
          {is_secret && value === null && ', not shown'}
        </span>
      ) : (
        value !== null && value !== '' && <span class="muted">default</span>
      )}
      {isSet && fallback !== null && fallback !== '' && fallback !== value && (
        <span class="muted">
          default <code>{fallback}</code>
        </span>
      )}
    </>
  );
}

function NoneFound() {
  return (
    <Empty title="No setting matches">
      <p>
        <a href={to('settings')}>Show all settings</a>
      </p>
    </Empty>
  );
}
