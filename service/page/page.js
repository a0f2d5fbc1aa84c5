// The script has the same bytes for every brand and request, because the page's policy contains its hash.
// Everything that differs comes from the form's data attributes and the texts in the page.
(() => {
  'use strict';

  const form = document.getElementById('sign-in');
  const key = 'deskmint:' + form.dataset.scope;
  const limit = Number(form.dataset.loopLimit);
  const span = Number(form.dataset.loopWindow); // milliseconds
  const patience = 5000; // milliseconds until the page says that signing in takes long
  const life = 150000; // milliseconds: Zendesk accepts a token for three minutes; the rest is for network delays
  const mark = form.elements.jwt.value.slice(-16); // identifies the token, but can't be used to sign in

  const show = (state) => {
    document.querySelectorAll('[data-state]').forEach((part) => {
      part.hidden = !part.dataset.state.split(' ').includes(state);
    });
    document.title = document.querySelector('section:not([hidden]) h1').textContent;
  };

  // A browser may refuse storage, or throw an exception when the script reads the property. The script then stores
  // nothing, because a sign-in that works matters more than a loop that ends.
  const stored = (name) => {
    try {
      return sessionStorage.getItem(name) || '';
    } catch (refused) {
      return '';
    }
  };
  const store = (name, value) => {
    try {
      sessionStorage.setItem(name, value);
    } catch (refused) {
      // Continue without storage.
    }
  };

  // The times of this tab's sign-ins within the window.
  const recent = () => {
    const now = Date.now();
    return stored(key).split(' ').map(Number).filter((time) => time > now - span && time <= now);
  };

  // claim ensures that a token is sent only once. This holds whether the script or the button submits the form, and
  // however often the tab loads this page, with or without other pages in between.
  const kept = 8;
  const marks = () => stored(key + ':sent').split(' ').filter(Boolean);
  let sent = marks().includes(mark);
  let waiting;
  const claim = () => {
    if (sent || old()) return false;
    sent = true;
    store(key + ':sent', marks().concat(mark).slice(-kept).join(' '));
    store(key, recent().concat(Date.now()).slice(-limit).join(' '));
    form.querySelector('button').setAttribute('aria-disabled', 'true');
    show('sending');
    waiting = setTimeout(show, patience, 'slow');
    return true;
  };

  // old hides the button when the token of an unsent page is too old. The texts stay, because they are still true.
  // A timer pauses in the back/forward cache and while the machine sleeps, so old also compares the wall clock.
  // The wall clock may be set back, so once the timer has fired, the result stays true.
  const loaded = Date.now();
  let over = false;
  const old = () => {
    over = over || Date.now() - loaded >= life;
    form.hidden = form.hidden || over;
    return over;
  };

  form.addEventListener('submit', (event) => {
    if (!claim()) event.preventDefault();
  });

  // A page from the back/forward cache still has its variables, but its timers were paused.
  addEventListener('pageshow', (event) => {
    if (!event.persisted) return;
    clearTimeout(waiting);
    if (sent) show('used');
    else old();
  });

  // Chromium and WebKit apply form-action to the redirects after the POST, too, and stay at this page when they block
  // one. Both the header and the <meta> have the policy, so the event may occur twice. A policy that only reports
  // blocks nothing.
  addEventListener('securitypolicyviolation', (event) => {
    if (event.effectiveDirective !== 'form-action' || event.disposition === 'report') return;
    clearTimeout(waiting);
    show('blocked');
    console.error('Deskmint: form-action has blocked the sign-in. List remote login and logout in zendesk_sso.origins.');
  });

  // Submit now and not at "load". A form that is submitted earlier replaces this page in the tab's history, so Back
  // skips it. The call uses the prototype's method, because a control named "submit" would hide the form's method.
  if (sent) {
    show('used');
  } else if (recent().length + 1 >= limit) {
    show('loop');
    setTimeout(() => {
      over = true;
      old();
    }, life);
  } else if (claim()) {
    HTMLFormElement.prototype.submit.call(form);
  }
})();
