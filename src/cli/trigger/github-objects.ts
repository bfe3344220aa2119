// The objects of which GitHub's webhooks consist, as its schemas have them (@octokit/webhooks-schemas).
import { randomBytes } from 'node:crypto';

const API = 'https://api.github.com';
const SITE = 'https://github.com';
const LOGIN = 'octo-dev';
const FULL_NAME = `${LOGIN}/shop`;
const REPOSITORY = `${API}/repos/${FULL_NAME}`;

/** The parts of a repository's API, each with the URL that its object names. */
const REPOSITORY_URLS = {
  forks_url: '/forks',
  keys_url: '/keys{/key_id}',
  collaborators_url: '/collaborators{/collaborator}',
  teams_url: '/teams',
  hooks_url: '/hooks',
  issue_events_url: '/issues/events{/number}',
  events_url: '/events',
  assignees_url: '/assignees{/user}',
  branches_url: '/branches{/branch}',
  tags_url: '/tags',
  blobs_url: '/git/blobs{/sha}',
  git_tags_url: '/git/tags{/sha}',
  git_refs_url: '/git/refs{/sha}',
  trees_url: '/git/trees{/sha}',
  statuses_url: '/statuses/{sha}',
  languages_url: '/languages',
  stargazers_url: '/stargazers',
  contributors_url: '/contributors',
  subscribers_url: '/subscribers',
  subscription_url: '/subscription',
  commits_url: '/commits{/sha}',
  git_commits_url: '/git/commits{/sha}',
  comments_url: '/comments{/number}',
  issue_comment_url: '/issues/comments{/number}',
  contents_url: '/contents/{+path}',
  compare_url: '/compare/{base}...{head}',
  merges_url: '/merges',
  archive_url: '/{archive_format}{/ref}',
  downloads_url: '/downloads',
  issues_url: '/issues{/number}',
  pulls_url: '/pulls{/number}',
  milestones_url: '/milestones{/number}',
  notifications_url: '/notifications{?since,all,participating}',
  labels_url: '/labels{/name}',
  releases_url: '/releases{/id}',
  deployments_url: '/deployments',
};

type Fields = Record<string, unknown>;

/** Seconds without a fraction, as GitHub writes times. */
export const timeOf = (date: Date) => `${date.toISOString().slice(0, 19)}Z`;
export const newId = () => 1_000_000_000 + randomBytes(4).readUInt32BE();
export const newSha = () => randomBytes(20).toString('hex');
const nodeId = (kind: string, id: number) =>
  `${kind}_${Buffer.from(String(id)).toString('base64url')}`;

export function user(): Fields {
  const url = `${API}/users/${LOGIN}`;
  return {
    login: LOGIN,
    id: 583_231,
    node_id: 'MDQ6VXNlcjU4MzIzMQ==',
    avatar_url: 'https://avatars.githubusercontent.com/u/583231?v=4',
    gravatar_id: '',
    url,
    html_url: `${SITE}/${LOGIN}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
    type: 'User',
    site_admin: false,
  };
}

export function repository(now: Date): Fields {
  const urls = Object.entries(REPOSITORY_URLS).map(([name, path]) => [name, REPOSITORY + path]);
  return {
    id: 186_853_002,
    node_id: 'R_kgDOCyMlug',
    name: 'shop',
    full_name: FULL_NAME,
    private: false,
    owner: user(),
    html_url: `${SITE}/${FULL_NAME}`,
    description: 'An online shop',
    fork: false,
    url: REPOSITORY,
    ...Object.fromEntries(urls),
    created_at: '2024-05-15T15:19:25Z',
    updated_at: timeOf(now),
    pushed_at: timeOf(now),
    git_url: `git://github.com/${FULL_NAME}.git`,
    ssh_url: `git@github.com:${FULL_NAME}.git`,
    clone_url: `${SITE}/${FULL_NAME}.git`,
    svn_url: `${SITE}/${FULL_NAME}`,
    homepage: null,
    size: 1024,
    stargazers_count: 21,
    watchers_count: 21,
    language: 'TypeScript',
    has_issues: true,
    has_projects: true,
    has_downloads: true,
    has_wiki: false,
    has_pages: false,
    has_discussions: false,
    forks_count: 2,
    mirror_url: null,
    archived: false,
    disabled: false,
    open_issues_count: 3,
    license: {
      key: 'mit',
      name: 'MIT License',
      spdx_id: 'MIT',
      url: `${API}/licenses/mit`,
      node_id: 'MDc6TGljZW5zZTEz',
    },
    allow_forking: true,
    is_template: false,
    web_commit_signoff_required: false,
    topics: ['shop'],
    visibility: 'public',
    custom_properties: {},
    forks: 2,
    open_issues: 3,
    watchers: 21,
    default_branch: 'main',
  };
}

export function commit(id: string, now: Date): Fields {
  const author = { name: 'Octo Dev', email: 'octo-dev@users.noreply.github.com', username: LOGIN };
  return {
    id,
    tree_id: newSha(),
    distinct: true,
    message: 'Show the total of an order with its tax',
    timestamp: timeOf(now),
    url: `${SITE}/${FULL_NAME}/commit/${id}`,
    author,
    committer: { name: 'GitHub', email: 'noreply@github.com', username: 'web-flow' },
    added: [],
    removed: [],
    modified: ['src/order.ts'],
  };
}

export const compareUrl = (before: string, after: string) =>
  `${SITE}/${FULL_NAME}/compare/${before.slice(0, 12)}...${after.slice(0, 12)}`;

function reactions(url: string): Fields {
  const none = { '+1': 0, '-1': 0, laugh: 0, hooray: 0, confused: 0, heart: 0, rocket: 0, eyes: 0 };
  return { url: `${url}/reactions`, total_count: 0, ...none };
}

export function issue(now: Date): Fields {
  const url = `${REPOSITORY}/issues/7`;
  const id = newId();
  return {
    url,
    repository_url: REPOSITORY,
    labels_url: `${url}/labels{/name}`,
    comments_url: `${url}/comments`,
    events_url: `${url}/events`,
    html_url: `${SITE}/${FULL_NAME}/issues/7`,
    id,
    node_id: nodeId('I', id),
    number: 7,
    title: 'The total of an order is wrong',
    user: user(),
    labels: [
      {
        id: 1_362_934_389,
        node_id: 'MDU6TGFiZWwxMzYyOTM0Mzg5',
        url: `${REPOSITORY}/labels/bug`,
        name: 'bug',
        color: 'd73a4a',
        default: true,
        description: 'Something is not working',
      },
    ],
    state: 'open',
    locked: false,
    assignee: null,
    assignees: [],
    milestone: null,
    comments: 0,
    created_at: timeOf(now),
    updated_at: timeOf(now),
    closed_at: null,
    author_association: 'OWNER',
    active_lock_reason: null,
    body: 'It has no tax.',
    reactions: reactions(url),
    timeline_url: `${url}/timeline`,
    performed_via_github_app: null,
    state_reason: null,
  };
}

export function comment(now: Date): Fields {
  const id = newId();
  const url = `${REPOSITORY}/issues/comments/${id}`;
  return {
    url,
    html_url: `${SITE}/${FULL_NAME}/issues/7#issuecomment-${id}`,
    issue_url: `${REPOSITORY}/issues/7`,
    id,
    node_id: nodeId('IC', id),
    user: user(),
    created_at: timeOf(now),
    updated_at: timeOf(now),
    author_association: 'OWNER',
    body: 'It is right again since the last release.',
    reactions: reactions(url),
    performed_via_github_app: null,
  };
}

export function pullRequest(now: Date): Fields {
  const url = `${REPOSITORY}/pulls/8`;
  const issueUrl = `${REPOSITORY}/issues/8`;
  const html = `${SITE}/${FULL_NAME}/pull/8`;
  const [id, sha] = [newId(), newSha()];
  const branch = (ref: string, sha: string) => ({
    label: `${LOGIN}:${ref}`,
    ref,
    sha,
    user: user(),
    repo: {
      ...repository(now),
      allow_squash_merge: true,
      allow_merge_commit: true,
      allow_rebase_merge: true,
      allow_auto_merge: false,
      allow_update_branch: false,
      delete_branch_on_merge: true,
      use_squash_pr_title_as_default: false,
      squash_merge_commit_message: 'COMMIT_MESSAGES',
      squash_merge_commit_title: 'COMMIT_OR_PR_TITLE',
      merge_commit_message: 'PR_TITLE',
      merge_commit_title: 'MERGE_MESSAGE',
    },
  });
  const urls = {
    commits_url: `${url}/commits`,
    review_comments_url: `${url}/comments`,
    review_comment_url: `${REPOSITORY}/pulls/comments{/number}`,
    comments_url: `${issueUrl}/comments`,
    statuses_url: `${REPOSITORY}/statuses/${sha}`,
  };
  const links = {
    self: url,
    html,
    issue: issueUrl,
    comments: urls.comments_url,
    review_comments: urls.review_comments_url,
    review_comment: urls.review_comment_url,
    commits: urls.commits_url,
    statuses: urls.statuses_url,
  };
  return {
    url,
    id,
    node_id: nodeId('PR', id),
    html_url: html,
    diff_url: `${html}.diff`,
    patch_url: `${html}.patch`,
    issue_url: issueUrl,
    number: 8,
    state: 'open',
    locked: false,
    title: 'Show the total of an order with its tax',
    user: user(),
    body: 'Closes #7.',
    created_at: timeOf(now),
    updated_at: timeOf(now),
    closed_at: null,
    merged_at: null,
    merge_commit_sha: null,
    assignee: null,
    assignees: [],
    requested_reviewers: [],
    requested_teams: [],
    labels: [],
    milestone: null,
    draft: false,
    ...urls,
    head: branch('total-with-tax', sha),
    base: branch('main', newSha()),
    _links: Object.fromEntries(Object.entries(links).map(([name, href]) => [name, { href }])),
    author_association: 'OWNER',
    auto_merge: null,
    active_lock_reason: null,
    merged: false,
    mergeable: null,
    rebaseable: null,
    mergeable_state: 'unknown',
    merged_by: null,
    comments: 0,
    review_comments: 0,
    maintainer_can_modify: false,
    commits: 1,
    additions: 12,
    deletions: 3,
    changed_files: 1,
  };
}

export function release(now: Date): Fields {
  const id = newId();
  const url = `${REPOSITORY}/releases/${id}`;
  return {
    url,
    assets_url: `${url}/assets`,
    upload_url: `https://uploads.github.com/repos/${FULL_NAME}/releases/${id}/assets{?name,label}`,
    html_url: `${SITE}/${FULL_NAME}/releases/tag/v1.4.0`,
    id,
    author: user(),
    node_id: nodeId('RE', id),
    tag_name: 'v1.4.0',
    target_commitish: 'main',
    name: 'v1.4.0',
    draft: false,
    prerelease: false,
    created_at: timeOf(now),
    published_at: timeOf(now),
    assets: [],
    tarball_url: `${REPOSITORY}/tarball/v1.4.0`,
    zipball_url: `${REPOSITORY}/zipball/v1.4.0`,
    body: 'Totals have tax.',
  };
}

/** The webhook of a repository itself, of which a ping tells. */
export function hook(id: number, now: Date): Fields {
  const url = `${REPOSITORY}/hooks/${id}`;
  return {
    type: 'Repository',
    id,
    name: 'web',
    active: true,
    events: ['push', 'pull_request'],
    config: {
      content_type: 'json',
      insecure_ssl: '0',
      secret: '********',
      url: 'https://example.com/hook',
    },
    updated_at: timeOf(now),
    created_at: timeOf(now),
    url,
    test_url: `${url}/test`,
    ping_url: `${url}/pings`,
    deliveries_url: `${url}/deliveries`,
    last_response: { code: null, status: 'unused', message: null },
  };
}
