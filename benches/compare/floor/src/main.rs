//! Two small programs for the comparison.
//!
//! `floor proxy LISTEN UPSTREAM FOLDER` is what this stack costs before anything is checked: one current-thread
//! runtime, TLS 1.3 with a required client certificate, HTTP/1.1 and HTTP/2, forwarding over kept-alive HTTP/1.1.
//! `floor material FOLDER` writes the certificates, keys and tokens that every proxy of the comparison uses.

mod material;
mod proxy;

type Fault = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["proxy", listen, upstream, folder] => proxy::serve(listen.parse()?, upstream.parse()?, folder.as_ref()),
        ["material", folder] => material::write(folder.as_ref()),
        _ => Err("floor proxy LISTEN UPSTREAM FOLDER | floor material FOLDER".into()),
    }
}
