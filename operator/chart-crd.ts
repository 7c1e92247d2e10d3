/** The definitions of `crds/` as templates of the chart `gantry-operator`, where `helm upgrade` upgrades them too. */

/**
 * The chart's template for one definition: installed while `crds.enabled`, kept at an uninstall while `crds.keep`.
 *
 * Text of the definition that Helm would read as a template of its own is escaped.
 */
export function chartTemplateOf(definition: string): string {
  const lines = definition.trimEnd().split('\n')
  const metadata = lines.indexOf('metadata:')
  if (metadata < 0 || lines.includes('  annotations:')) {
    throw new Error('a definition needs a `metadata:` without annotations')
  }
  const escaped = lines.map((line) =>
    line.replaceAll(/\{\{|\}\}/g, (braces) => `{{ "${braces}" }}`),
  )
  return [
    '{{- /* Generated from crds/ by `npm run generate`: do not edit. */ -}}',
    '{{- if .Values.crds.enabled }}',
    ...escaped.slice(0, metadata + 1),
    '  {{- if .Values.crds.keep }}',
    '  annotations:',
    '    helm.sh/resource-policy: keep',
    '  {{- end }}',
    ...escaped.slice(metadata + 1),
    '{{- end }}',
    '',
  ].join('\n')
}
