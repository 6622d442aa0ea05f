/**
 * Text of the page. Each feature owns a typed English catalogue beside its code, so text loads with the route that
 * shows it; a language file (one JSON object of catalogues) replaces it at run time. English is the type: an unknown
 * key or a missing parameter does not compile.
 */
type Plural = { readonly one: string; readonly other: string };
type Message = string | Plural;
export type Catalogue = Readonly<Record<string, Message>>;

type Names<S> = S extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never;
type Parameters<M> = M extends Plural ? Names<M['one']> | Names<M['other']> | 'count' : Names<M>;
type Arguments<M> = [Parameters<M>] extends [never] ? [] : [Record<Parameters<M>, string | number>];

export type Translate<C extends Catalogue> = <K extends keyof C>(key: K, ...args: Arguments<C[K]>) => string;

type Translation = Record<string, Record<string, Message>>;

let language = 'en';
let translation: Translation = {};

/** The language of text, numbers and dates. */
export function currentLanguage(): string {
  return language;
}

/** Replaces the text of every catalogue; what a translation lacks stays English. */
export function setTranslation(tag: string, catalogues: Translation): void {
  language = tag;
  translation = catalogues;
  document.documentElement.lang = tag;
}

function fill(template: string, values: Readonly<Record<string, string | number>>): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === 'number' ? value.toLocaleString(language) : value;
  });
}

/** The translator of one catalogue. `name` is the catalogue's key in a language file. */
export function catalogue<const C extends Catalogue>(name: string, english: C): Translate<C> {
  return (key, ...args) => {
    const message: Message = translation[name]?.[String(key)] ?? english[key] ?? String(key);
    const values = args[0] ?? {};
    if (typeof message === 'string') return fill(message, values);
    const count = 'count' in values ? Number(values['count']) : 0;
    const form = new Intl.PluralRules(language).select(count);
    return fill(form === 'one' ? message.one : message.other, values);
  };
}
