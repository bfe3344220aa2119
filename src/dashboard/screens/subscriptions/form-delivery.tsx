import { Pairs } from '../../components/pairs.tsx';
import { SelectField, TextField } from '../../components/text-field.tsx';
import type { PartProps } from './form.tsx';
import { MetadataFields } from './form-selection.tsx';

/** How webhooks are delivered. Empty fields take the settings of the service. */
export function DeliveryFields({ draft, change, error }: PartProps) {
  return (
    <fieldset class="part">
      <legend>Delivery</legend>
      <TextField
        label="Retry schedule"
        name="retry_schedule"
        hint="The delays before attempts 2, 3, …, or exponential(base=10s,factor=2,max=1h,attempts=8). Empty: as the service is set."
        placeholder="5s,5m,30m,2h"
        code
        error={error}
        value={draft.retry_schedule}
        onChange={(retry_schedule) => change({ retry_schedule })}
      />
      <div class="row">
        <TextField
          label="Timeout"
          name="timeout"
          hint="Of one attempt."
          placeholder="15s"
          error={error}
          value={draft.timeout}
          onChange={(timeout) => change({ timeout })}
        />
        <TextField
          label="Requests at once"
          name="max_in_flight"
          hint="Empty: Posthorn finds out."
          type="number"
          error={error}
          value={draft.max_in_flight}
          onChange={(max_in_flight) => change({ max_in_flight })}
        />
      </div>
      <div class="row">
        <TextField
          label="Rate limit"
          name="rate_limit"
          hint="Requests in a period. Empty: none."
          type="number"
          error={error}
          value={draft.rate_limit}
          onChange={(rate_limit) => change({ rate_limit })}
        />
        <TextField
          label="Period"
          name="rate_limit.per"
          hint="100ms to 1d."
          error={undefined}
          value={draft.rate_per}
          onChange={(rate_per) => change({ rate_per })}
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
