/** A post horn: a coil, its mouthpiece at the left and its bell at the right. */
const HORN = `<g fill="none" stroke="#f5b83d" stroke-linecap="round" stroke-linejoin="round">
<circle cx="29" cy="27" r="13" stroke-width="5"/>
<path d="M6 40h39" stroke-width="5"/><path d="M4 36v8" stroke-width="4"/></g>
<path d="M42 37.5c8 0 13-3 17-9.5v24c-4-6.5-9-9.5-17-9.5z" fill="#f5b83d" stroke="#f5b83d" stroke-width="2" stroke-linejoin="round"/>`;

const FAVICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">${HORN}</svg>`;

const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 250 64" role="img" aria-label="Posthorn">${HORN}
<text x="74" y="47" textLength="170" lengthAdjust="spacingAndGlyphs" font-family="system-ui,sans-serif" font-size="37" font-weight="600" fill="#fff">Posthorn</text></svg>`;

/**
 * The page has one document and one server, so it needs no field for another. No answer has links. All errors
 * have one schema, so it is shown at the first of them, and not twelve times.
 */
const CSS = `#swagger-ui .topbar .download-url-wrapper,
#swagger-ui .scheme-container .servers-title,
#swagger-ui .scheme-container .servers { display: none; }
#swagger-ui .topbar .dark-mode-toggle { margin-left: auto; }
#swagger-ui .info { margin: 32px 0; }
#swagger-ui .scheme-container { padding: 16px 0; }
#swagger-ui .opblock-body:has(.opblock-loading-animation) .execute-wrapper { display: none; }
#swagger-ui .response-col_links { display: none; }
#swagger-ui .response:is([data-code^="4"], [data-code^="5"]):not([data-code="400"]) :is(.response-controls, .model-example) { display: none; }
#swagger-ui .opblock-tag { padding-left: 0; }
#swagger-ui :is(.parameters-col_description, .response-col_description) .renderedMarkdown p { font-size: 14px; }
#swagger-ui .response > td { padding-bottom: 16px; }
#swagger-ui table.headers { width: auto; }
#swagger-ui table.headers td { padding: 4px 16px 4px 0; color: inherit; font: 14px sans-serif; }
#swagger-ui .curl code { white-space: pre-wrap !important; overflow-wrap: anywhere; }
#swagger-ui .live-responses-table .highlight-code code { display: block; padding-bottom: 44px; }
#swagger-ui .auth-container input { box-sizing: border-box; width: 100%; max-width: none; }
@supports (field-sizing: content) {
  #swagger-ui .body-param__text { field-sizing: content; min-height: 80px; }
}
@media (min-width: 641px) {
  #swagger-ui .parameters-col_name { min-width: 160px; }
}
@media (max-width: 640px) {
  #swagger-ui .topbar .topbar-wrapper { flex-direction: row; align-items: center; }
  #swagger-ui .topbar .link { width: auto; }
  #swagger-ui .opblock-tag { flex-wrap: wrap; padding: 8px 0; }
  #swagger-ui .opblock-tag .expand-operation { margin-left: auto; }
  #swagger-ui .opblock-tag small { order: 1; flex: 1 0 100%; padding: 4px 0 0; }
  #swagger-ui .opblock-summary-method { min-width: 64px; }
  #swagger-ui .response-col_status { min-width: 48px; }
}`;

/** Without it, phones show the page as wide as a desktop's, and scale it down. */
const VIEWPORT = `const viewport = document.createElement('meta');
viewport.name = 'viewport';
viewport.content = 'width=device-width, initial-scale=1';
document.head.append(viewport);`;

/** The logo, the icon and the style of Swagger UI's page. */
export const DOCS_LOOK = {
  logo: { type: 'image/svg+xml', content: Buffer.from(LOGO) },
  theme: {
    title: 'Posthorn API',
    css: [{ filename: 'posthorn.css', content: CSS }],
    js: [{ filename: 'viewport.js', content: VIEWPORT }],
    favicon: [
      {
        filename: 'posthorn.svg',
        rel: 'icon',
        type: 'image/svg+xml',
        sizes: 'any',
        content: FAVICON,
      },
    ],
  },
};
