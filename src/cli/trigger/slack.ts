// https://docs.slack.dev/apis/events-api and https://docs.slack.dev/interactivity/implementing-slash-commands
import { randomBytes } from 'node:crypto';
import { type Provider, type Sample, secondsOf, signAsSlack } from './sample.ts';

type Fields = Record<string, unknown>;

const TEAM = 'T0123456789';
const APP = 'A0123456789';
const CHANNEL = 'C0123456789';
const USER = 'U0123456789';
const BOT = 'U0987654321';
const RESPONSE_URL = 'https://hooks.slack.com/commands/T0123456789/0000000000000/example';

const newId = (prefix: string) => prefix + randomBytes(5).toString('hex').toUpperCase();
/** The time of a message, which is its id in its channel. */
const stampOf = (now: Date) =>
  `${secondsOf(now)}.${String(randomBytes(3).readUIntBE(0, 3) % 1_000_000).padStart(6, '0')}`;

function sample(encoding: Sample['encoding'], fields: Fields): Sample {
  return {
    encoding,
    fields,
    headers: { 'User-Agent': 'Slackbot 1.0 (+https://api.slack.com/robots)' },
  };
}

/** An event of a workspace in its envelope. */
function callback(now: Date, event: Fields): Sample {
  return sample('json', {
    token: 'deprecated-verification-token',
    team_id: TEAM,
    api_app_id: APP,
    event,
    type: 'event_callback',
    event_id: newId('Ev'),
    event_time: secondsOf(now),
    authorizations: [
      {
        enterprise_id: null,
        team_id: TEAM,
        user_id: BOT,
        is_bot: true,
        is_enterprise_install: false,
      },
    ],
    is_ext_shared_channel: false,
    event_context: `4-${randomBytes(12).toString('base64url')}`,
  });
}

function message(now: Date, type: string, text: string): Sample {
  const ts = stampOf(now);
  return callback(now, {
    user: USER,
    type,
    ts,
    client_msg_id: crypto.randomUUID(),
    text,
    team: TEAM,
    blocks: [
      {
        type: 'rich_text',
        block_id: 'b1',
        elements: [{ type: 'rich_text_section', elements: [{ type: 'text', text }] }],
      },
    ],
    channel: CHANNEL,
    event_ts: ts,
    ...(type === 'message' ? { channel_type: 'channel' } : {}),
  });
}

function blockActions(now: Date): Sample {
  const action = {
    action_id: 'approve',
    block_id: 'order_7',
    text: { type: 'plain_text', text: 'Approve', emoji: true },
    value: '7',
    type: 'button',
    action_ts: stampOf(now),
  };
  return sample('form', {
    payload: {
      type: 'block_actions',
      user: { id: USER, username: 'jenny', name: 'jenny', team_id: TEAM },
      api_app_id: APP,
      token: 'deprecated-verification-token',
      container: { type: 'message', message_ts: stampOf(now), channel_id: CHANNEL },
      trigger_id: `${secondsOf(now)}.0000000000.example`,
      team: { id: TEAM, domain: 'octo' },
      channel: { id: CHANNEL, name: 'orders' },
      response_url: RESPONSE_URL,
      actions: [action],
    },
  });
}

function slashCommand(now: Date): Sample {
  return sample('form', {
    token: 'deprecated-verification-token',
    team_id: TEAM,
    team_domain: 'octo',
    channel_id: CHANNEL,
    channel_name: 'orders',
    user_id: USER,
    user_name: 'jenny',
    command: '/order',
    text: 'show 7',
    api_app_id: APP,
    is_enterprise_install: 'false',
    response_url: RESPONSE_URL,
    trigger_id: `${secondsOf(now)}.0000000000.example`,
  });
}

export const SLACK_SAMPLES: Provider = {
  sign: signAsSlack,
  events: {
    message: {
      about: 'somebody has written in a channel',
      make: (now) => message(now, 'message', 'Order 7 is on its way.'),
    },
    app_mention: {
      about: 'somebody has mentioned the app',
      make: (now) => message(now, 'app_mention', `<@${BOT}> where is order 7?`),
    },
    reaction_added: {
      about: 'a message got a reaction',
      make: (now) =>
        callback(now, {
          type: 'reaction_added',
          user: USER,
          reaction: 'white_check_mark',
          item_user: BOT,
          item: { type: 'message', channel: CHANNEL, ts: stampOf(now) },
          event_ts: stampOf(now),
        }),
    },
    url_verification: {
      about: 'Slack asks whether the URL is yours',
      make: () =>
        sample('json', {
          token: 'deprecated-verification-token',
          challenge: randomBytes(26).toString('hex'),
          type: 'url_verification',
        }),
    },
    slash_command: { about: 'somebody has called a slash command (a form)', make: slashCommand },
    block_actions: { about: 'somebody has pressed a button (a form)', make: blockActions },
  },
};
