import { Argument, Command } from 'commander';
import { print } from './output.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** A command with what may follow it. */
interface Node {
  /** The names from the program on: `posthorn keys create`. */
  readonly path: string;
  readonly subcommands: readonly Word[];
  /** The values of an argument that has only some. */
  readonly choices: readonly Word[];
  readonly options: readonly Word[];
}

interface Word {
  readonly text: string;
  readonly description: string;
}

/** `posthorn completion`: prints a script by which a shell completes commands and options. */
export function completionCommand(): Command {
  const command = new Command('completion')
    .description('print a script that completes commands in a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .addHelpText(
      'after',
      `
Examples:
  $ echo 'source <(posthorn completion bash)' >> ~/.bashrc
  $ echo 'source <(posthorn completion zsh)' >> ~/.zshrc
  $ posthorn completion fish > ~/.config/fish/completions/posthorn.fish`,
    );
  return command.action((shell: Shell) => {
    const nodes = nodesOf(command.parent as Command, 'posthorn');
    print({ bash: bash(nodes), zsh: zsh(nodes), fish: fish(nodes) }[shell]);
  });
}

function nodesOf(command: Command, path: string): Node[] {
  const subcommands = command.commands.map((one) => ({
    text: one.name(),
    description: one.description(),
  }));
  const choices = command.registeredArguments.flatMap(({ argChoices = [], description }) =>
    argChoices.map((text) => ({ text, description })),
  );
  const options = [...command.options, ...command.createHelp().visibleOptions(command)]
    .filter(({ hidden, long }) => !hidden && long != null)
    .map(({ long, description }) => ({ text: long as string, description }));
  const distinct = [...new Map(options.map((option) => [option.text, option])).values()];
  return [
    { path, subcommands, choices, options: distinct },
    ...command.commands.flatMap((one) => nodesOf(one, `${path} ${one.name()}`)),
  ];
}

/** A loop that finds the longest path of commands on the line, for bash and zsh. */
const FIND_PATH = (words: string, paths: readonly string[]) => `local command=posthorn word
  for word in ${words}; do
    case "$command $word" in
      ${paths.map((path) => `'${path}'`).join('|')}) command="$command $word" ;;
    esac
  done`;

function bash(nodes: readonly Node[]): string {
  const cases = nodes.map(({ path, subcommands, choices, options }) => {
    const words = [...subcommands, ...choices, ...options].map(({ text }) => text).join(' ');
    return `    '${path}') COMPREPLY=($(compgen -W '${words}' -- "\${COMP_WORDS[COMP_CWORD]}")) ;;`;
  });
  return `_posthorn() {
  ${FIND_PATH(`"\${COMP_WORDS[@]:1:COMP_CWORD-1}"`, pathsOf(nodes))}
  case "$command" in
${cases.join('\n')}
  esac
}
complete -o default -F _posthorn posthorn`;
}

function zsh(nodes: readonly Node[]): string {
  const cases = nodes.map(({ path, subcommands, choices, options }) => {
    const described = [...subcommands, ...choices, ...options].map(({ text, description }) =>
      quoted(`${text.replaceAll(':', '\\:')}:${description}`),
    );
    return `    '${path}') choices=(${described.join(' ')}) ;;`;
  });
  return `#compdef posthorn
_posthorn() {
  local -a choices
  ${FIND_PATH(`"\${(@)words[2,CURRENT-1]}"`, pathsOf(nodes))}
  case "$command" in
${cases.join('\n')}
  esac
  _describe 'posthorn' choices || _files
}
compdef _posthorn posthorn`;
}

function fish(nodes: readonly Node[]): string {
  const lines = nodes.flatMap(({ path, subcommands, choices, options }) => {
    const [, ...names] = path.split(' ');
    const next = subcommands.map(({ text }) => text).join(' ');
    const seen = names.map((name) => `__fish_seen_subcommand_from ${name}`);
    const nothingElse = next === '' ? [] : [`not __fish_seen_subcommand_from ${next}`];
    const condition = quoted([...seen, ...nothingElse].join('; and ') || 'true');
    return [
      ...[...subcommands, ...choices].map(
        ({ text, description }) =>
          `complete -c posthorn -f -n ${condition} -a ${text} -d ${quoted(description)}`,
      ),
      ...options.map(
        ({ text, description }) =>
          `complete -c posthorn -n ${condition} -l ${text.slice(2)} -d ${quoted(description)}`,
      ),
    ];
  });
  return lines.join('\n');
}

const pathsOf = (nodes: readonly Node[]) =>
  nodes.map(({ path }) => path).filter((path) => path !== 'posthorn');

/** Quotes a text for all three shells. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
