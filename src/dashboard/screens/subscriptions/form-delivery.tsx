import { Pairs } from '../../components/pairs.tsx';
import { SelectField, TextField } from '../../components/text-field.tsx';
import type { PartProps } from './form.tsx';
import { MetadataFields } from './form-selection.tsx';

/** How webhooks are delivered. Empty fields take the settings of the service. */
export function DeliveryFields({ draft, change, error, textField }: PartProps) {
  return (
    <fieldset class="part">
      <legend>Delivery</legend>
      <TextField
        label="Retry schedule"
        {...textField('retry_schedule')}
        hint="The delays before attempts 2, 3, …, or exponential(base=10s,factor=2,max=1h,attempts=8). Empty: as the service is set."
        placeholder="5s,5m,30m,2h"
        code
      />
      {draft.receiver === 'pull' ? (
        <TextField
          label="Handed out at once"
          {...textField('max_in_flight')}
          hint="Deliveries that are pulled and not acknowledged yet. Empty: 1,000."
          type="number"
        />
      ) : (
        <div class="row">
          <TextField
            label="Timeout"
            {...textField('timeout')}
            hint="Of one attempt."
            placeholder="15s"
          />
          <TextField
            label="Requests at once"
            {...textField('max_in_flight')}
            hint="Empty: Posthorn finds out."
            type="number"
          />
        </div>
      )}
      <div class="row">
        <TextField
          label="Rate limit"
          {...textField('rate_limit')}
          hint={`${draft.receiver === 'pull' ? 'Deliveries' : 'Requests'} in a period. Empty: none.`}
          type="number"
        />
        <TextField
          label="Period"
          hint="100ms to 1d."
          {...textField('rate_per')}
          name="rate_limit.per"
          error={undefined}
        />
      </div>
      <SelectField
        label="Order"
        name="ordering"
        error={error}
        value={draft.ordering}
        onChange={(ordering) => change({ ordering: ordering === 'strict' ? 'strict' : 'none' })}
        choices={{
          none: 'None: deliveries may overtake each other',
          strict: 'Strict: one at a time, in the order of acceptance',
        }}
      />
      <Pairs
        label="Headers"
        hint="Added to every delivery. Every key that can read the subscription sees them."
        nameLabel="Header"
        pairs={draft.headers}
        onChange={(headers) => change({ headers })}
        error={error?.fields.headers}
      />
      <MetadataFields draft={draft} change={change} error={error} />
    </fieldset>
  );
}
