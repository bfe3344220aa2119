import { useState } from 'preact/hooks';
import {
  type EventTypeSettings,
  getEventTypeSettings,
  updateEventTypeSettings,
} from '../../api/client.ts';
import { ApiError } from '../../api/request.ts';
import { Check } from '../../components/check.tsx';
import { Show } from '../../components/states.tsx';
import { toast } from '../../components/toast.tsx';
import { useData } from '../../data/use-data.ts';
import { mayChangeTypes } from '../../session.ts';

/** What is refused when it is sent. */
export function Rules() {
  const [saved, setSaved] = useState<EventTypeSettings>();
  const loaded = useData((signal) => getEventTypeSettings({}, { signal }), []);
  const change = async (before: EventTypeSettings, rules: Partial<EventTypeSettings>) => {
    // At once, so that the box does not jump back until the answer is here.
    setSaved({ ...before, ...rules });
    try {
      setSaved(await updateEventTypeSettings(rules));
      toast('Saved.');
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setSaved(before);
      toast(error.message, 'bad');
    }
  };
  return (
    <section class="section">
      <h2>Rules</h2>
      <div class="panel rules">
        <Show loaded={loaded}>
          {(read) => {
            const rules = saved ?? read;
            const { strict, validate } = rules;
            return mayChangeTypes() ? (
              <>
                <Check
                  label="Refuse webhooks whose type is not in the catalogue, or is archived"
                  checked={strict}
                  onChange={(strict) => change(rules, { strict })}
                />
                <Check
                  label="Refuse webhooks whose data does not fit the schema of their type"
                  hint="Over HTTP; posthorn.send in SQL does not check data."
                  checked={validate}
                  onChange={(validate) => change(rules, { validate })}
                />
              </>
            ) : (
              <ul>
                <li>Types that are not in the catalogue are {strict ? 'refused' : 'accepted'}.</li>
                <li>Data that does not fit its schema is {validate ? 'refused' : 'accepted'}.</li>
              </ul>
            );
          }}
        </Show>
      </div>
    </section>
  );
}
