// https://docs.github.com/webhooks/webhook-events-and-payloads
import { randomBytes, randomUUID } from 'node:crypto';
import {
  comment,
  commit,
  compareUrl,
  hook,
  issue,
  newSha,
  pullRequest,
  release,
  repository,
  timeOf,
  user,
} from './github-objects.ts';
import { type Provider, type Sample, signAsGitHub } from './sample.ts';

const HOOK_ID = 292_430_182;

function sample(event: string, now: Date, fields: Record<string, unknown>): Sample {
  const about = repository(now);
  return {
    encoding: 'json',
    fields: { ...fields, repository: about, sender: user() },
    headers: {
      'User-Agent': `GitHub-Hookshot/${randomBytes(4).toString('hex').slice(0, 7)}`,
      'X-GitHub-Delivery': randomUUID(),
      'X-GitHub-Event': event,
      'X-GitHub-Hook-ID': String(HOOK_ID),
      'X-GitHub-Hook-Installation-Target-ID': String(about.id),
      'X-GitHub-Hook-Installation-Target-Type': 'repository',
    },
  };
}

function push(now: Date): Sample {
  const [before, after] = [newSha(), newSha()];
  const head = commit(after, now);
  return sample('push', now, {
    ref: 'refs/heads/main',
    before,
    after,
    pusher: { name: 'octo-dev', email: 'octo-dev@users.noreply.github.com' },
    created: false,
    deleted: false,
    forced: false,
    base_ref: null,
    compare: compareUrl(before, after),
    commits: [head],
    head_commit: head,
  });
}

export const GITHUB_SAMPLES: Provider = {
  sign: signAsGitHub,
  events: {
    ping: {
      about: 'a webhook was created',
      make: (now) =>
        sample('ping', now, {
          zen: 'Keep it logically awesome.',
          hook_id: HOOK_ID,
          hook: hook(HOOK_ID, now),
        }),
    },
    push: { about: 'a commit was pushed to main', make: push },
    pull_request: {
      about: 'a pull request was opened',
      make: (now) =>
        sample('pull_request', now, {
          action: 'opened',
          number: 8,
          pull_request: pullRequest(now),
        }),
    },
    issues: {
      about: 'an issue was opened',
      make: (now) => sample('issues', now, { action: 'opened', issue: issue(now) }),
    },
    issue_comment: {
      about: 'an issue got a comment',
      make: (now) =>
        sample('issue_comment', now, {
          action: 'created',
          issue: issue(now),
          comment: comment(now),
        }),
    },
    release: {
      about: 'a release was published',
      make: (now) => sample('release', now, { action: 'published', release: release(now) }),
    },
    star: {
      about: 'the repository got a star',
      make: (now) => sample('star', now, { action: 'created', starred_at: timeOf(now) }),
    },
  },
};
