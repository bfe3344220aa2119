import type { GetSubscriptionData, SubscriptionHealth } from '../../api/client.ts';
import { Countdown, Time } from '../../components/time.tsx';
import { formatCount, formatShare } from '../../lib/format.ts';
import { to } from '../../lib/urls.ts';

interface HealthProps {
  readonly subscription: GetSubscriptionData;
  readonly health: SubscriptionHealth;
}

/** How the receiver does: first what is wrong and what to do about it, then the figures. */
export function Health({ subscription, health }: HealthProps) {
  const { circuit, held, held_more, oldest_held_at, in_flight, recent } = health;
  // A receiver that pulls gets no requests, and so has no circuit.
  const isSent = subscription.url !== null;
  return (
    <>
      <Trouble subscription={subscription} health={health} />
      <dl class="facts panel figures">
        {isSent && (
          <div>
            <dt>Circuit</dt>
            <dd>
              {circuit.state === 'half_open' ? 'half open' : circuit.state}
              {circuit.next_probe_at !== null && (
                <span class="second">
                  next probe <Countdown to={circuit.next_probe_at} whenDue="now" />
                </span>
              )}
            </dd>
          </div>
        )}
        <div>
          <dt>Held</dt>
          <dd>
            {held === 0 ? (
              '0'
            ) : (
              <a href={to('webhooks', { subscription_id: health.subscription_id, state: 'held' })}>
                {formatCount(held)}
                {held_more && '+'}
              </a>
            )}
            {oldest_held_at !== null && (
              <span class="second">
                oldest <Time at={oldest_held_at} />
              </span>
            )}
          </dd>
        </div>
        {isSent && (
          <div>
            <dt>In flight</dt>
            <dd>{formatCount(in_flight)}</dd>
          </div>
        )}
        <div>
          <dt>Attempts a second</dt>
          <dd>
            {recent.per_second === 0 ? '0' : recent.per_second.toFixed(2)}
            <span class="second">over the last minute</span>
          </dd>
        </div>
        <div>
          <dt>Success rate</dt>
          <dd>
            {recent.success_rate === null ? '–' : formatShare(recent.success_rate)}
            <span class="second">
              {recent.attempts === 0
                ? 'no attempts yet'
                : `of the newest ${formatCount(recent.attempts)}`}
            </span>
          </dd>
        </div>
      </dl>
    </>
  );
}

function Trouble({ subscription, health }: HealthProps) {
  const { failing_since, failures, last_error, circuit } = health;
  const { status, status_reason } = subscription;
  if (status === 'paused')
    return (
      <div class="notice">
        <p>
          <strong>Paused.</strong> Its deliveries are held until it is resumed.
          {status_reason !== null && ` Note: ${status_reason}`}
        </p>
      </div>
    );
  if (status === 'disabled')
    return (
      <div class="notice bad">
        <h2>Disabled</h2>
        <p>
          {status_reason ?? 'The receiver failed for too long.'} It gets no new webhooks by event
          type. Mend the receiver, then enable it.
        </p>
      </div>
    );
  if (failing_since === null) return null;
  return (
    <div class="notice bad">
      <h2>{circuit.state === 'closed' ? 'The receiver fails' : 'The circuit is open'}</h2>
      <p>
        At least {formatCount(failures)} attempts in a row have failed since{' '}
        <Time at={failing_since} />.
        {last_error !== null && ` The last error: ${last_error.error ?? last_error.error_code}`}
        {circuit.state !== 'closed' &&
          ' Its deliveries are held; one at a time is sent as a probe, and a success closes the circuit.'}
      </p>
    </div>
  );
}
