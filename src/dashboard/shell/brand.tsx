import { to } from '../lib/urls.ts';
import { session } from '../session.ts';
import { Horn } from './horn.tsx';

/** The name at the top, which leads to the first screen: in a portal, the logo or the name of its tenant. */
export function Brand({ isCurrent }: { isCurrent: boolean }) {
  const portal = session.value?.portal ?? null;
  return (
    <a class="brand" href={to('')} aria-current={isCurrent ? 'page' : undefined}>
      {portal === null ? (
        <>
          <Horn /> Posthorn
        </>
      ) : portal.theme.logo === null ? (
        (portal.name ?? 'Webhooks')
      ) : (
        <img class="logo" src={portal.theme.logo} alt={portal.name ?? 'Webhooks'} />
      )}
    </a>
  );
}
