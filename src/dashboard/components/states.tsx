import type { ComponentChildren } from 'preact';
import type { ApiError } from '../api/request.ts';
import type { Loaded } from '../data/use-data.ts';
import { formatTime } from '../lib/format.ts';
import { isAboutSession } from '../session.ts';
import { CopyButton } from './copy-button.tsx';
import { Scroll } from './scroll.tsx';

/** Shows something that was read, or how far the reading is: nothing yet, failed, or out of date. */
export function Show<T>({
  loaded,
  children,
}: {
  loaded: Loaded<T>;
  children: (data: T) => ComponentChildren;
}) {
  const { data, error, stale, readAt, reload } = loaded;
  if (data === undefined)
    return error === undefined ? <Loading /> : <Failed error={error} reload={reload} />;
  return (
    <>
      {error !== undefined && <OutOfDate error={error} readAt={readAt} reload={reload} />}
      <div class={stale ? 'stale' : 'fresh'} aria-busy={stale && error === undefined}>
        {children(data)}
      </div>
    </>
  );
}

function Loading() {
  return (
    <div class="loading" role="status">
      <span class="visually-hidden">Loading…</span>
    </div>
  );
}

/** The state of a place for which there is nothing to show but an error. It says what happens next. */
export function Failed({ error, reload }: { error: ApiError; reload: () => void }) {
  if (isAboutSession(error)) return null;
  return (
    <div class="notice bad" role="alert">
      <h2>{error.title}</h2>
      <p>{error.message}</p>
      <p>{adviceFor(error)}</p>
      <button type="button" class="button plain" onClick={reload}>
        Try again now
      </button>
    </div>
  );
}

function adviceFor({ status, passes }: ApiError): string {
  if (passes) return 'The page tries again by itself.';
  if (status === 403) return 'Sign in with a key that has this scope.';
  if (status === 404)
    return 'It may be deleted because its retention is over, or belong to another tenant.';
  return 'Change what is asked for, or reload the page.';
}

/** Says that what follows was read a while ago. */
function OutOfDate({
  error,
  readAt,
  reload,
}: {
  error: ApiError;
  readAt: Date | undefined;
  reload: () => void;
}) {
  return (
    <div class="notice warn" role="status">
      <p>
        <strong>Out of date</strong>
        {readAt !== undefined && `: read at ${formatTime(readAt, new Date())}.`} {error.message}{' '}
        {error.passes && 'The page tries again by itself.'}
      </p>
      <button type="button" class="button plain" onClick={reload}>
        Try again now
      </button>
    </div>
  );
}

/** The state of a list that has nothing: what would be here, and how to get it. */
export function Empty({
  title,
  children,
  command,
}: {
  title: string;
  children?: ComponentChildren;
  /** A command line that fills the list. */
  command?: string;
}) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
      {command !== undefined && (
        <div class="command">
          <Scroll label="Command">{command}</Scroll>
          <CopyButton text={command} what="the command" />
        </div>
      )}
    </div>
  );
}
