/** The environments of the programs that this process starts for NATS. No program gets shoal's own variables: some are secrets. */

type Environment = Readonly<Record<string, string | undefined>>;

/** The variables that a nats-server and its guarding shell need. */
const SERVER_VARIABLES = ['PATH', 'HOME', 'TMPDIR', 'LANG'];

export function serverEnvironment(env: Environment = process.env): Environment {
  return only(env, (name) => SERVER_VARIABLES.includes(name));
}

/** The environment of a program that installs a server: apt-get may need a proxy, and other variables that are not known here. */
export function installerEnvironment(env: Environment = process.env): Environment {
  return only(env, (name) => !name.startsWith('SHOAL_'));
}

function only(env: Environment, wanted: (name: string) => boolean): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => wanted(name)));
}
