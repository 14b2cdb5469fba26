import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { OPTIONS } from '../../../src/config/options.js';

/** The page of each alert. */

const root = new URL('../../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');

/** What the programs answer to the commands of the list of runbooks. */
const FAKES = {
  kubectl: `case "$*" in
  "-n shoal port-forward service/shoal 8080:http" | "-n shoal port-forward pod/shoal-worker-0 8081:http") ;;
  '-n shoal get deployment shoal-coordinator -o jsonpath={.spec.template.spec.volumes[?(@.name=="secrets")].secret.secretName}') printf keys ;;
  "-n shoal get secret keys -o jsonpath={.data.api-keys}") printf 'the first key\\nanother\\n' | base64 ;;
  "-n shoal exec deployment/shoal-coordinator -- env SHOAL_API_KEY=the first key node /opt/shoal/dist/cli/main.js status") echo asked for status ;;
  *) echo "unexpected: $*" >&2; exit 1 ;;
esac`,
  docker: `case "$*" in
  "compose ps -q --index 1 worker") echo 1234 ;;
  "inspect -f {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}} 1234") echo 10.0.0.7 ;;
  "compose exec -T coordinator printenv SHOAL_API_KEYS") echo 'the first key,another' ;;
  "compose exec -T -e SHOAL_API_KEY coordinator node /opt/shoal/dist/cli/main.js status") echo asked for status ;;
  *) echo "unexpected: $*" >&2; exit 1 ;;
esac`,
} as const;

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly annotations: Readonly<Record<string, string>> }[];
  }[];
}

const rules = (parse(read('deploy/prometheus/alerts.yml')) as Rules).groups.flatMap((group) => group.rules);
const pages = readdirSync(new URL('docs/runbooks', root)).filter((name) => name !== 'README.md');
const COMMANDS = ['shoal health', 'shoal status', 'shoal doctor', 'shoal explain', 'shoal bench', 'curl'];

describe('the runbooks', () => {
  it('are one for each alert, which names it', () => {
    expect(pages.toSorted()).toEqual(rules.map(({ alert }) => `${alert}.md`).toSorted());
    const repository = /REPOSITORY = '(.*)'/.exec(read('docs/.vitepress/config.mjs'))![1]!;
    expect(URL.canParse(repository)).toBe(true);
    for (const { alert, annotations } of rules)
      expect(annotations.runbook_url).toBe(`${repository}/docs/runbooks/${alert}.md`);
  });

  it('are all named by the list of runbooks', () => {
    const list = read('docs/runbooks/README.md');
    expect(pages.filter((page) => !list.includes(`](${page})`))).toEqual([]);
  });

  it.each(['kubernetes', 'compose'])('say on %s where the fleet is, and its key', (kind) => {
    const block = new RegExp(`\`\`\`sh ${kind}\\n([\\s\\S]*?)\`\`\``).exec(read('docs/runbooks/README.md'))![1]!;
    const folder = mkdtempSync(join(tmpdir(), 'shoal-runbooks-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    for (const [program, script] of Object.entries(FAKES)) {
      writeFileSync(join(folder, program), `#!/bin/sh\n${script}`);
      chmodSync(join(folder, program), 0o755);
    }
    const after = 'wait; echo "$SHOAL_URL $WORKER_URL $SHOAL_API_KEY"; shoal status';
    const { PATH } = process.env;
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-ec', `${block}\n${after}`], {
      cwd: folder,
      env: { PATH: `${folder}:${PATH}` },
      encoding: 'utf8',
    });
    const worker = kind === 'compose' ? 'http://10.0.0.7:8080' : 'http://127.0.0.1:8081';
    expect({ stdout, stderr }).toEqual({
      stdout: `http://127.0.0.1:8080 ${worker} the first key\nasked for status\n`,
      stderr: '',
    });
  });

  it.each(pages)('%s says what to see, decide, mend and prevent', (page) => {
    const text = read(`docs/runbooks/${page}`);
    expect(text.startsWith(`# ${page.replace('.md', '')}\n\n**Symptom.** `)).toBe(true);
    const headings = [...text.matchAll(/^## (.*)$/gm)].map((match) => match[1]);
    expect(headings).toEqual(['Look', 'Decide', 'Fix', 'Prevent']);
    const look =
      /## Look\n\n\[Your fleet's addresses and key\]\(README\.md#before-you-look\) first\.\n\n```sh\n([\s\S]*?)```/
        .exec(text)![1]!
        .trim();
    expect(COMMANDS.some((command) => look.startsWith(command))).toBe(true);
    expect(look).not.toMatch(/http:/);
    for (const line of look.split('\n').filter((each) => each.includes('curl') && each.includes('$SHOAL_URL')))
      expect(line).toContain('-H "authorization: Bearer $SHOAL_API_KEY"');
    const flags = [...text.matchAll(/(?<=`)--[a-z-]+/g)].map(([flag]) => flag);
    const known = Object.values(OPTIONS).map((option) => `--${option.flag}`);
    expect(flags.filter((flag) => !known.includes(flag))).toEqual([]);
    const links = [...text.matchAll(/\]\(([\w./-]+\.md)\)/g)].map((match) => match[1]!);
    for (const link of links) expect(read(`docs/runbooks/${link}`).length).toBeGreaterThan(0);
  });
});
